"""A batch in waves: upstream tasks in other queues are there before those that ask for them."""

from collections.abc import Iterable, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import NamedTuple


class Asking(NamedTuple):
    """A task of a batch, and those that it comes after."""

    task_id: str
    queue: str
    upstream: Sequence[str] = ()


def waves(batch: Iterable[Asking]) -> list[list[int]]:
    """The places of a batch's tasks by waves, within each in their order.

    A task is in a later wave than those of other queues that it comes after. Tasks that wait for
    each other in a circle are taken as they come: the first of them finds nothing to wait for.
    """
    asking = list(batch)
    if not any(each.upstream for each in asking):
        return [list(range(len(asking)))]
    queues = {each.task_id: each.queue for each in asking}
    upstream = {each.task_id: [name for name in each.upstream if name in queues] for each in asking}
    numbers = _numbers(upstream, queues)
    found: list[list[int]] = [[] for _ in range(max(numbers.values()) + 1)]
    for place, each in enumerate(asking):
        found[numbers[each.task_id]].append(place)
    return [wave for wave in found if wave]


def _numbers(upstream: Mapping[str, Sequence[str]], queues: Mapping[str, str]) -> dict[str, int]:
    """The wave of each task, from 0."""
    try:
        order = list(TopologicalSorter(upstream).static_order())
    except CycleError:
        order = list(queues)
    numbers: dict[str, int] = {}
    for name in order:
        after = ((numbers.get(each, 0), queues[each]) for each in upstream[name])
        numbers[name] = max((wave + (queue != queues[name]) for wave, queue in after), default=0)
    return numbers
