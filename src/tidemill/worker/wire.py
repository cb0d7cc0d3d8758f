"""What a worker and its child processes tell each other: values as bytes, never pickled."""

from typing import Protocol

import msgspec

from tidemill.outcome import Outcome
from tidemill.task import Claim, LogLine, NewTask, Progress, Task
from tidemill.worker.verdict import Verdict


class Do(msgspec.Struct, frozen=True, tag=True):
    """To the child: run this claim."""

    claim: Claim


class Soften(msgspec.Struct, frozen=True, tag=True):
    """To the child: raise `SoftTimeout` inside the function."""


class Found(msgspec.Struct, frozen=True, tag=True):
    """To the child: the tasks that it asked for; `problem` when the engine could not say."""

    tasks: tuple[Task, ...]
    problem: str = ""


class Ready(msgspec.Struct, frozen=True, tag=True):
    """From the child: the application is imported and its resources are open."""


class Unable(msgspec.Struct, frozen=True, tag=True):
    """From the child: it cannot run anything."""

    problem: str


class Reported(msgspec.Struct, frozen=True, tag=True):
    """From the child: progress."""

    progress: Progress


class Logged(msgspec.Struct, frozen=True, tag=True):
    """From the child: a log line to be kept."""

    line: LogLine


class Spoke(msgspec.Struct, frozen=True, tag=True):
    """From the child: a line for the worker's own logging; `kept` with the task already or not."""

    logger: str
    level: int
    text: str
    kept: bool


class Find(msgspec.Struct, frozen=True, tag=True):
    """From the child: tasks to find, answered by `Found`."""

    ids: tuple[str, ...]


class Done(msgspec.Struct, frozen=True, tag=True):
    """From the child: what became of the claim."""

    outcome: Outcome
    enqueue: tuple[NewTask, ...]

    @classmethod
    def of(cls, verdict: Verdict) -> "Done":
        """The message of a verdict."""
        return cls(verdict.outcome, verdict.enqueue)

    @property
    def verdict(self) -> Verdict:
        """The verdict that it tells."""
        return Verdict(self.outcome, self.enqueue)


ToChild = Do | Soften | Found
FromChild = Ready | Unable | Reported | Logged | Spoke | Find | Done

_ENCODER = msgspec.msgpack.Encoder()
_TO_CHILD: msgspec.msgpack.Decoder[ToChild] = msgspec.msgpack.Decoder(ToChild)
_FROM_CHILD: msgspec.msgpack.Decoder[FromChild] = msgspec.msgpack.Decoder(FromChild)


class Wire(Protocol):
    """A connection that carries whole messages, as `multiprocessing.Pipe` gives."""

    def send_bytes(self, buf: bytes, /) -> None: ...

    def recv_bytes(self) -> bytes: ...

    def close(self) -> None: ...


def write(wire: Wire, value: ToChild | FromChild) -> None:
    """Write one message; raises OSError when nobody reads any more."""
    wire.send_bytes(_ENCODER.encode(value))


def read_in_child(wire: Wire) -> ToChild:
    """Read one message of the worker; raises EOFError or OSError when it is gone."""
    return _TO_CHILD.decode(wire.recv_bytes())


def read_from_child(wire: Wire) -> FromChild:
    """Read one message of a child; raises EOFError or OSError when it is gone."""
    return _FROM_CHILD.decode(wire.recv_bytes())
