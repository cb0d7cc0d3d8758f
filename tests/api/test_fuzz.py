"""The document and the server agree, whatever is sent: cases that schemathesis makes of one.

`TIDEMILL_API_EXAMPLES` is how many there are for each route; `make api-fuzz` makes thousands.
"""

import asyncio
import os
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, GenerationMode
from schemathesis.checks import CHECKS, load_all_checks

from tests.api.conftest import Site, application, serve
from tidemill.access import FULL

EXAMPLES = int(os.environ.get("TIDEMILL_API_EXAMPLES", "6"))

LEFT_OUT = {
    "positive_data_acceptance": "a body of the right shape may name a queue, a task type or an "
    "instant that cannot be: that is 409 or 422, and documented",
}
"""Checks that do not hold, and why."""

LEFT_OUT_OF_BULK = {
    "negative_data_rejection": "a task that is wrong is refused by itself, in an answer with 207"
}

ENDLESS = {"/api/v1/events", "/api/v1/tasks/{task_id}/events"}
"""Streams that go on, the second until its task is final: test_events.py reads them."""


@contextmanager
def live() -> Iterator[tuple[Site, dict[str, str]]]:
    """A site that is served by a thread, and names of what is there, by parameter."""
    ready: Future[tuple[Site, dict[str, str]]] = Future()
    over = threading.Event()

    async def run() -> None:
        async with serve(application("memory://")) as here:
            try:
                ready.set_result((here, await _furnished(here)))
            except BaseException as error:
                ready.set_exception(error)
                raise
            await asyncio.to_thread(over.wait)

    thread = threading.Thread(target=lambda: asyncio.run(run()))
    thread.start()
    try:
        yield ready.result(60)
    finally:
        over.set()
        thread.join()


async def _furnished(here: Site) -> dict[str, str]:
    await here.ask("POST", "/queues", 201, {"name": "processing"})
    schedule = {"name": "hourly", "task_type": "echo", "cron_expr": "0 * * * *"}
    await here.ask("POST", "/scheduled-tasks", 201, schedule)
    flow = await here.app.group(here.app.function("echo").call(value=1)).enqueue()
    return {
        "task_id": (await here.submit("echo"))["task_id"],
        "queue_name": "processing",
        "name": "hourly",
        "workflow_id": flow.id,
        "fingerprint": "f",
        "silence_id": "no-such-silence",
        "webhook_id": "no-such-webhook",
        "key_id": (await here.app.keys.create("another", FULL)).key.id,
    }


@pytest.mark.timeout(3600)
def test_every_answer_is_documented_and_none_is_a_failure_of_the_server() -> None:
    load_all_checks()
    assert LEFT_OUT.keys() | LEFT_OUT_OF_BULK.keys() <= set(CHECKS.get_all_names())
    with live() as (here, known):
        schema = schemathesis.openapi.from_url(
            f"{here.url}/api/v1/openapi.json",
            headers={"Authorization": here.client.headers["authorization"]},
        )
        made = dict.fromkeys(GenerationMode, 0)
        for found in schema.get_all_operations():
            operation: Any = found.ok()  # type: ignore[union-attr]  # else it raises, and should
            for mode in GenerationMode:
                if operation.path not in ENDLESS:
                    cases = operation.as_strategy(generation_mode=mode)
                    there = known if mode is GenerationMode.POSITIVE else {}
                    made[mode] += _send(cases, here, there, _checks(operation.path))
        assert made[GenerationMode.POSITIVE] >= EXAMPLES // 2 * 40
        assert made[GenerationMode.NEGATIVE] >= EXAMPLES // 2 * 15


def _checks(path: str) -> list[Any]:
    left_out = LEFT_OUT | (LEFT_OUT_OF_BULK if path.endswith("/bulk") else {})
    return CHECKS.get_by_names([each for each in CHECKS.get_all_names() if each not in left_out])


def _send(cases: Any, here: Site, known: dict[str, str], checks: list[Any]) -> int:
    """Send cases of one route, every other one about what is known to be there; answers how many.

    A case that is to be refused stays as it was made, or it would be right.
    """
    made = 0
    key = {"Authorization": here.client.headers["authorization"]}

    @seed(20_260_221)
    @settings(
        max_examples=EXAMPLES // 2,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=cases)
    def send(case: Case[Any]) -> None:
        nonlocal made
        made += 1
        if known and made % 2:
            _about_what_is_there(case, known)
        case.call_and_validate(checks=checks, headers=key)

    with suppress(Unsatisfiable):  # of a route that takes anything there are no wrong requests
        send()
    return made


def _about_what_is_there(case: Case[Any], known: dict[str, str]) -> None:
    for name in known.keys() & (case.path_parameters or {}).keys():
        case.path_parameters[name] = known[name]
    body = case.body
    if isinstance(body, dict) and isinstance(body.get("task_type"), str):
        body["task_type"] = "echo"
        body.pop("payload", None)
