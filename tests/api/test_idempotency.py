"""Requests that are sent again with the same `Idempotency-Key`."""

import asyncio
import uuid
from datetime import timedelta

import pytest

from tests.api.conftest import OpenSite, problem
from tidemill import Tidemill, VirtualClock
from tidemill.api.idempotency import IN_FLIGHT_FOR, KEPT_FOR, KIND, Idempotency, Reply, nth_id
from tidemill.api.problems import Refused
from tidemill.engines.memory import MemoryEngine
from tidemill.errors import EngineUnavailable, QueueFull
from tidemill.ids import IdMaker, carried_mark, queue_mark

FORM = {"task_type": "content_generation", "payload": {"topic": "AI"}}


async def test_the_same_key_and_body_answer_the_same_and_submit_once(site: OpenSite) -> None:
    async with site() as here:
        key = {"Idempotency-Key": "order-1"}
        first = await here.client.post("/api/v1/tasks", json=FORM, headers=key)
        again = await here.client.post("/api/v1/tasks", json=FORM, headers=key)
        assert (first.status_code, again.status_code) == (201, 201)
        assert first.content == again.content
        assert first.headers["location"] == again.headers["location"]
        assert again.headers["idempotency-replayed"] == "true"
        assert "idempotency-replayed" not in first.headers
        bulk = {"tasks": [FORM, {"task_type": "nope"}, FORM]}
        key = {"Idempotency-Key": "order-2"}
        one = await here.client.post("/api/v1/tasks/bulk", json=bulk, headers=key)
        two = await here.client.post("/api/v1/tasks/bulk", json=bulk, headers=key)
        assert (one.status_code, one.json()) == (two.status_code, two.json())
        assert (await here.ask("GET", "/tasks", 200))["total"] == 3


async def test_the_same_key_with_another_body_or_address_is_refused(site: OpenSite) -> None:
    async with site() as here:
        key = {"Idempotency-Key": "order-1"}
        await here.ask("POST", "/tasks", 201, FORM, headers=key)
        for path, body in (("", FORM | {"priority": 1}), ("/bulk", {"tasks": [FORM]})):
            answer = await here.client.post(f"/api/v1/tasks{path}", json=body, headers=key)
            assert (answer.status_code, problem(answer).type) == (422, "idempotency-mismatch")


async def test_a_refused_submit_may_be_corrected_under_its_key(site: OpenSite) -> None:
    async with site() as here:
        key = {"Idempotency-Key": "order-1"}
        await here.ask("POST", "/tasks", 422, FORM | {"payload": {}}, headers=key)
        await here.ask("POST", "/tasks", 201, FORM, headers=key)


async def test_the_same_key_at_the_same_time_submits_once(site: OpenSite) -> None:
    async with site() as here:
        key = {"Idempotency-Key": "order-1"}
        answers = await asyncio.gather(
            *(here.client.post("/api/v1/tasks", json=FORM, headers=key) for _ in range(10))
        )
        assert {answer.status_code for answer in answers} <= {201, 409}
        assert len({answer.json()["task_id"] for answer in answers if answer.is_success}) == 1
        assert (await here.ask("GET", "/tasks", 200))["total"] == 1


async def test_a_key_has_a_length(site: OpenSite) -> None:
    async with site() as here:
        answer = await here.client.post(
            "/api/v1/tasks", json=FORM, headers={"Idempotency-Key": "k" * 256}
        )
        assert (answer.status_code, problem(answer).fields) == (422, ("Idempotency-Key",))


class Kept:
    """The keeper of answers on an engine whose clock moves when told."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.app = Tidemill("memory://")
        self.app.use_engine(MemoryEngine(clock=self.clock), clock=self.clock)
        self.keeper = Idempotency(self.app)
        self.seeds: list[str] = []

    async def run(self, seed: str) -> Reply:
        self.seeds.append(seed)
        return Reply(201, {}, f"answer {len(self.seeds)}".encode())

    async def once(self, request: bytes = b"body") -> tuple[bytes, bool]:
        reply, again = await self.keeper.once("test", "key", request, self.run)
        self.keeper.stop()
        return reply.body, again


async def test_an_answer_is_kept_for_a_day_and_then_removed() -> None:
    kept = Kept()
    assert await kept.once() == (b"answer 1", False)
    kept.clock.advance(KEPT_FOR)
    assert await kept.once() == (b"answer 1", True)
    assert await kept.keeper.remove_old() == 0
    kept.clock.advance(timedelta(seconds=1))
    assert await kept.once(b"another body") == (b"answer 2", False)
    kept.clock.advance(KEPT_FOR + timedelta(seconds=1))
    assert await kept.keeper.remove_old() == 1
    engine = await kept.app.engine()
    assert await engine.documents(KIND) == []


async def test_who_carries_on_after_an_outage_makes_the_same_tasks() -> None:
    kept = Kept()

    async def fails(seed: str) -> Reply:
        kept.seeds.append(seed)
        raise EngineUnavailable

    with pytest.raises(EngineUnavailable):
        await kept.keeper.once("test", "key", b"body", fails)
    with pytest.raises(Refused, match="another request"):
        await kept.once(b"another body")
    assert (await kept.once())[1] is False
    assert kept.seeds[0] == kept.seeds[1]


async def test_a_request_whose_process_died_is_carried_on_after_a_while() -> None:
    kept = Kept()
    never = asyncio.Event()
    begun = asyncio.Event()

    async def hangs(seed: str) -> Reply:
        kept.seeds.append(seed)
        begun.set()
        await never.wait()
        raise AssertionError

    hanging = asyncio.create_task(kept.keeper.once("test", "key", b"body", hangs))
    await begun.wait()
    with pytest.raises(Refused, match="under way"):
        await kept.once()
    kept.clock.advance(IN_FLIGHT_FOR + timedelta(seconds=1))
    assert await kept.once() == (b"answer 2", False)
    assert kept.seeds[0] == kept.seeds[1]
    hanging.cancel()
    await asyncio.gather(hanging, return_exceptions=True)
    assert await kept.once() == (b"answer 2", True)  # the late one changed nothing


async def test_what_is_surely_refused_frees_its_key() -> None:
    kept = Kept()

    async def refuses(_: str) -> Reply:
        raise QueueFull("mail", 1, 1, 1)

    with pytest.raises(QueueFull):
        await kept.keeper.once("test", "key", b"body", refuses)
    assert await kept.once(b"another body") == (b"answer 1", False)


def test_the_ids_of_a_request_follow_from_its_seed_in_order_and_carry_their_queues_mark() -> None:
    seed = IdMaker().make()
    made = [nth_id(seed, number, "mail") for number in range(1000)]
    assert made == sorted(set(made))
    assert made == [nth_id(seed, number, "mail") for number in range(1000)]
    assert all(carried_mark(each) == queue_mark("mail") for each in made)
    assert all(uuid.UUID(each).version == 7 for each in made)
    assert nth_id(seed, 5, "upload")[:-4] == made[5][:-4]
