"""Waiting for what a server is about to say."""

import time
from collections.abc import Callable


def until(fact: Callable[[], bool], what: str, *, seconds: float = 30) -> None:
    """Ask until it is so; a server that cannot be reached says no.

    Raises `TimeoutError`, which names what was waited for.
    """
    deadline = time.monotonic() + seconds
    while not _holds(fact):
        if time.monotonic() > deadline:
            raise TimeoutError(f"Waited {seconds:g} s in vain until {what}")
        time.sleep(0.005)


def _holds(fact: Callable[[], bool]) -> bool:
    try:
        return fact()
    except ConnectionError:
        return False
