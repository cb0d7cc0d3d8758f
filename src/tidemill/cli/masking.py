"""Passwords of URLs are never shown, whoever wrote the text that a URL stands in."""

import re

_MASK = "***"
_PASSWORDS = (
    re.compile(r"(?P<before>:/{0,2}[^\s/@:]*:)\S*(?P<after>@)(?!…)"),
    re.compile(r"(?P<before>[?&]\w*password=)[^\s&]*(?P<after>)"),
)


def masked(text: str) -> str:
    """A text in which no URL shows a password.

    >>> masked("'redix://me:secret@cache:6379/0' names no engine")
    "'redix://me:***@cache:6379/0' names no engine"
    >>> masked("redis://cache?password=secret&prefix=a does not know the options password")
    'redis://cache?password=***&prefix=a does not know the options password'
    """
    for password in _PASSWORDS:
        text = password.sub(rf"\g<before>{_MASK}\g<after>", text)
    return text
