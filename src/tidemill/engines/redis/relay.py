"""What one shard has for others is carried there: tasks, news of those waited for, of schedules.

A script leaves messages in its shard's outbox in the same step as what they follow from. They are
carried in their order, those that follow each other to the same shard together, and forgotten
after; whoever is interrupted leaves them to the next relay. A message may be carried twice without
harm: enqueueing an id twice is one task, and whoever waits counts those it waits for by name.
"""

from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any, Final

from tidemill.engines.redis.arguments import Blobs
from tidemill.engines.redis.shard import Shard

AT_ONCE: Final = 100

Find = Callable[[str], Shard]
"""The shard of a queue."""

Message = Sequence[Any]
"""What the outbox has: number, kind, queue that it is for, and the rest (`outbox.lua`)."""


async def relay(shard: Shard, find: Find) -> None:
    """Carry what a shard has for others, and what follows from it, until nothing is left."""
    senders = deque([shard])
    while senders:
        sender = senders.popleft()
        if not sender.sent:
            continue
        sender.sent = False
        carried: list[int] = []
        while messages := await sender.outbox(AT_ONCE, carried):
            carried = [int(number) for number, *_ in messages]
            for queue, part in groupby(messages, key=lambda message: message[2].decode()):
                senders += await _carry(queue, list(part), find)


async def _carry(queue: str, messages: Sequence[Message], find: Find) -> list[Shard]:
    """Carry messages to one shard; answers the shards that something came to."""
    blobs = Blobs()
    answers = await find(queue).carry([_heard(each, blobs) for each in messages], blobs.all)
    back: dict[str, list[tuple[str, ...]]] = defaultdict(list)
    for (_, _, _, *rest), how in zip(messages, answers, strict=True):
        if how:  # one to wait for that is over meanwhile, or never was
            one, other = (text.decode() for text in rest)
            home, waiter = other.split("\t")
            back[home].append(("arrived", waiter, f"{queue}\t{one}", how))
    for home, arrived in back.items():
        await find(home).carry(arrived)
    return [find(queue), *map(find, back)]


def _heard(message: Message, blobs: Blobs) -> tuple[object, ...]:
    """A message as `carry.lua` takes it."""
    _, kind, queue, *rest = message
    if kind != b"enqueue":
        return (kind.decode(), *(text.decode() for text in rest))
    task_id, task_type, priority, attempts, due, rules, labels, packed, payload, after = rest
    made = (
        task_id.decode(),
        queue.decode(),
        task_type.decode(),
        priority,
        attempts,
        blobs.add(packed, payload, after),
        False,
        int(due),
        rules == 1,
        labels == 1,
        bool(after),
    )
    return ("enqueue", made)
