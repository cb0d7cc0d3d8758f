"""What one shard has for others is carried there: tasks, news of parents, children and schedules.

A script leaves messages in its shard's outbox in the same step as what they follow from. They are
carried in their order and forgotten after; whoever is interrupted leaves them to the next relay.
A message may be carried twice without harm: enqueueing an id twice is one task, and a parent counts
its children by name.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

from tidemill.engines.redis.shard import Shard

AT_ONCE: Final = 100

Find = Callable[[str], Shard]
"""The shard of a queue."""


async def relay(shard: Shard, find: Find) -> None:
    """Carry what a shard has for others, and what follows from it, until nothing is left."""
    senders = [shard]
    while senders:
        sender = senders.pop()
        if not sender.sent:
            continue
        sender.sent = False
        carried: list[int] = []
        while messages := await sender.outbox(AT_ONCE, carried):
            carried = [int(number) for number, *_ in messages]
            for _, kind, *message in messages:
                senders += await _carry(kind, message, find)


async def _carry(kind: bytes, message: Sequence[Any], find: Find) -> list[Shard]:
    """Carry one message; answers the shards that it came to."""
    reached = find(message[0].decode())
    if kind == b"enqueue":
        await reached.enqueue_sent(message)
        return [reached]
    if kind == b"forget":
        await reached.carry("forget", message[1].decode())
        return []
    queue, one, other = (text.decode() for text in message)
    if kind == b"arrived":
        await reached.carry("arrived", one, other)
        return [reached]
    if await reached.carry("wait", one, other):
        return [reached]
    home, parent = other.split("\t")  # the child has ended meanwhile, or never was
    await find(home).carry("arrived", parent, f"{queue}\t{one}")
    return [reached, find(home)]
