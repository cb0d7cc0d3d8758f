"""Primaries that share the slots, without replicas."""

import contextlib
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

from tests.servers.server import Kind, Server, prepared
from tests.servers.waiting import until

_SLOTS = 16_384
_CONFIG = {"cluster-enabled": "yes", "cluster-node-timeout": "2000"}


@contextlib.contextmanager
def cluster(
    folder: Path, nodes: int = 3, *, kind: Kind = "valkey", config: Mapping[str, str] = {}
) -> Iterator[list[Server]]:
    """Started nodes that own all slots and agree about it, in the order of their slots.

    Takes 2 s: a primary writes nothing before it has listened to its cluster that long.
    """
    with contextlib.ExitStack() as stack:
        made = [
            stack.enter_context(
                prepared(folder / f"node{number}", kind=kind, config={**_CONFIG, **config})
            )
            for number in range(nodes)
        ]
        for node in made:
            node.start()
        for number, node in enumerate(made):
            first, after = (_SLOTS * edge // nodes for edge in (number, number + 1))
            node.command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
            node.command("CLUSTER", "ADDSLOTSRANGE", first, after - 1)
        for node in made[1:]:
            made[0].command("CLUSTER", "MEET", "127.0.0.1", node.port)
        agreed(made)
        yield made


def agreed(nodes: list[Server]) -> None:
    """Wait until every node serves and knows the owners of all slots, after a restart too."""
    for node in nodes:
        until(partial(_serves, node, len(nodes)), f"port {node.port} joined its cluster")


def _serves(node: Server, nodes: int) -> bool:
    lines = node.command("CLUSTER", "INFO").decode().split()
    return {"cluster_state:ok", f"cluster_size:{nodes}", f"cluster_slots_ok:{_SLOTS}"} <= {*lines}
