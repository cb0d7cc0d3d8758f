"""Why a request was not carried out."""

import msgspec


class FieldProblem(msgspec.Struct, frozen=True):
    """One value that is at fault: `field` is its path, such as `payload.lines[2].price`."""

    field: str
    message: str


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """Why a request was not carried out (RFC 9457). `type` is stable, the texts are for people."""

    type: str
    title: str
    status: int
    detail: str
    errors: tuple[FieldProblem, ...] = ()
