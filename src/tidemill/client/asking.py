"""A request as a value, and a route as both clients have it: described once, asked by either."""

import functools
from collections.abc import Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, overload
from urllib.parse import quote

import msgspec

if TYPE_CHECKING:
    from tidemill.client.faces import AsyncClient, Client

P = ParamSpec("P")
T = TypeVar("T")


class Ask(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """One request. `answer` is the shape of what comes back, `patience` extra seconds to wait."""

    method: str
    path: str
    answer: type[T]
    query: Mapping[str, Any] = {}
    body: Any = None
    headers: Mapping[str, str] = {}
    patience: float = 0


class Route(Generic[P, T]):
    """A route. On a client it is a method; `Client.get_queue.ask("mail")` is the request alone."""

    def __init__(self, ask: Callable[P, Ask[T]]) -> None:
        self.ask = ask
        self.__doc__ = ask.__doc__

    @overload
    def __get__(self, client: None, owner: type) -> "Route[P, T]": ...
    @overload
    def __get__(self, client: "Client", owner: type) -> Callable[P, T]: ...
    @overload
    def __get__(
        self, client: "AsyncClient", owner: type
    ) -> Callable[P, Coroutine[Any, Any, T]]: ...
    def __get__(self, client: Any, owner: type) -> Any:
        if client is None:
            return self

        @functools.wraps(self.ask)
        def method(*args: P.args, **kwargs: P.kwargs) -> Any:
            return client.do(self.ask(*args, **kwargs))

        return method


def path(text: str, *names: str) -> str:
    """A path with names in it, whatever letters they have."""
    return text.format(*(quote(name, safe="") for name in names))


def said(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values that are not None."""
    return {name: value for name, value in values.items() if value is not None}
