"""What is said beside the answer: one line on standard error."""

import sys


def note(text: str) -> None:
    """Say something that is not the answer."""
    print(text, file=sys.stderr, flush=True)
