"""Queues as they are stored, and as they stand."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Final

import msgspec

from tidemill.clock import from_micros, micros
from tidemill.engine import QueueDefinition, QueueStatus
from tidemill.rates import Rate


class _Rate(msgspec.Struct, frozen=True):
    count: int
    cell: int
    burst: int


class _Settings(msgspec.Struct, frozen=True):
    """A queue's hash field as `queues.lua` of the prelude describes it."""

    weight: int
    paused: bool
    lease: int | None = None
    concurrency: int | None = None
    worker_concurrency: int | None = None
    rate: _Rate | None = None
    capacity: int | None = None


_settings: Final = msgspec.msgpack.Decoder(_Settings).decode


def status(name: str, raw: bytes, since: Mapping[str, int]) -> QueueStatus:
    """A queue of these settings; `since` has by queue when the oldest ready task became due."""
    settings = _settings(raw)
    rate = settings.rate
    return QueueStatus(
        definition=QueueDefinition(
            name,
            settings.weight,
            None if settings.lease is None else timedelta(microseconds=settings.lease),
            settings.concurrency,
            settings.worker_concurrency,
            None
            if rate is None
            else Rate(rate.count, timedelta(microseconds=rate.cell), rate.burst),
            settings.capacity,
        ),
        paused=settings.paused,
        oldest_pending_at=from_micros(since[name]) if name in since else None,
    )


def defined(queue: QueueDefinition) -> dict[str, object]:
    """Settings as `queues.lua` takes them: False for one that it does not have."""
    rate = queue.rate
    return {
        "weight": queue.weight,
        "lease": micros(queue.lease) if queue.lease else False,
        "concurrency": _or_false(queue.concurrency),
        "worker_concurrency": _or_false(queue.worker_concurrency),
        "rate": rate is not None and _Rate(rate.count, rate.cell, rate.burst),
        "capacity": _or_false(queue.capacity),
    }


def _or_false(value: int | None) -> int | bool:
    return False if value is None else value
