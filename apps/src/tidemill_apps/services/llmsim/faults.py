"""What goes wrong in the simulator: a script that is worked off, one fault for each request."""

from collections.abc import Iterable
from typing import Annotated, Literal, TypeAlias

import msgspec

Route: TypeAlias = Literal["chat", "embeddings", "models"]
FaultKind: TypeAlias = Literal["status", "slow", "cut", "invalid_json", "wrong_dimension"]


class Fault(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One thing that goes wrong, for the next `times` requests to `route` (None: to any).

    `status`: answers `status` with the error `code`, and with a `Retry-After` of `retry_after`
    seconds if given. `slow`: answers after `seconds`. `cut`: breaks off in the middle of the
    answer. `invalid_json`: the model says something that is no JSON. `wrong_dimension`: vectors
    have one number too few. `times` None never ends.
    """

    kind: FaultKind
    route: Route | None = None
    times: Annotated[int, msgspec.Meta(ge=1)] | None = 1
    status: Annotated[int, msgspec.Meta(ge=400, le=599)] = 500
    code: str | None = None
    retry_after: Annotated[float, msgspec.Meta(ge=0)] | None = None
    seconds: Annotated[float, msgspec.Meta(ge=0)] = 1.0

    def concerns(self, route: Route) -> bool:
        """Whether it may happen there; what a route cannot do wrong does not happen to it."""
        able = {"invalid_json": ("chat",), "wrong_dimension": ("embeddings",)}
        return self.route in {None, route} and route in able.get(self.kind, (route,))


class Faults:
    """The script: faults are taken in order, each by the first request that it concerns."""

    def __init__(self, script: Iterable[Fault] = ()) -> None:
        self._ahead = list(script)

    @property
    def ahead(self) -> tuple[Fault, ...]:
        """What will still go wrong."""
        return tuple(self._ahead)

    def add(self, faults: Iterable[Fault]) -> None:
        """Let these follow what is ahead."""
        self._ahead.extend(faults)

    def clear(self) -> None:
        """Let nothing more go wrong."""
        self._ahead.clear()

    def take(self, route: Route) -> Fault | None:
        """What goes wrong with the request that is being answered; it counts as happened."""
        for place, fault in enumerate(self._ahead):
            if fault.concerns(route):
                if fault.times == 1:
                    del self._ahead[place]
                elif fault.times is not None:
                    self._ahead[place] = msgspec.structs.replace(fault, times=fault.times - 1)
                return fault
        return None
