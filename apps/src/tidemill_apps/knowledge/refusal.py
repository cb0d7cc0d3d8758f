"""Why a document cannot be indexed, however often it is tried."""

from typing import Literal, TypeAlias

RefusalCode: TypeAlias = Literal[
    "missing", "unsupported", "too_large", "empty", "encrypted", "corrupt", "no_text"
]


class DocumentRefused(Exception):
    """The document itself is the cause: trying again changes nothing.

    `code` is stable, for programs; `reason` is one line, for people.
    """

    def __init__(self, code: RefusalCode, reason: str) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.code}: {self.reason}"
