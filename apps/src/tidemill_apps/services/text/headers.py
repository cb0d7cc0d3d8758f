"""What a mail's headers tell about it, by names in any case."""

from collections.abc import Mapping


def header(headers: Mapping[str, str], name: str) -> str:
    """The value of a header in lower case; empty where the mail has none of that name."""
    wanted = name.lower()
    return next((value.lower() for key, value in headers.items() if key.lower() == wanted), "")
