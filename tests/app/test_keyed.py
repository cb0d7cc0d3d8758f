"""Limits, debounce, throttle and cached results by key, on every engine."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.app.scenes import MakeScene, scenes
from tests.engines.makers import ENGINES
from tidemill import (
    AtMost,
    DeclarationError,
    PayloadInvalid,
    State,
    TaskFunction,
    Tidemill,
    Unique,
    cached,
    debounce,
    throttle,
)
from tidemill.outcome import Completed, Failed
from tidemill.testing.builders import BROKE
from tidemill.testing.harness import Harness

SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)


@pytest.fixture(params=ENGINES)
def scene(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MakeScene]:
    """Opens a scene on each kind of engine."""
    with scenes(request.param, tmp_path) as opened:
        yield opened


async def index(user_id: int, page: str = "a") -> str:
    return page


def declared(app: Tidemill, **said: Any) -> TaskFunction[..., str]:
    return app.task(**{"name": "index"} | said)(index)


def refused(app: Tidemill, **said: Any) -> str:
    with pytest.raises(DeclarationError) as caught:
        declared(app, **said)
    assert not app.task_types
    return str(caught.value)


# declared


@pytest.mark.parametrize(
    ("limit", "told"),
    [
        (AtMost(5, per="{nobody}"), "the limit '{nobody}' of index names 'nobody', which is no"),
        (AtMost(5, per="{user_id"), "the limit '{user_id' of index is not a template"),
        (AtMost(5, per=lambda user_id: f"{user_id}"), "the limit function of index is called with"),
    ],
)
def test_a_limit_that_no_call_could_make_is_refused_when_it_is_declared(
    app: Tidemill, limit: AtMost, told: str
) -> None:
    assert told in refused(app, limit=limit)
    send = declared(app)
    with pytest.raises(DeclarationError):
        send.options(limit=limit)


def test_a_limit_that_lets_nothing_run_or_has_no_name_is_refused() -> None:
    with pytest.raises(DeclarationError, match="would let nothing run"):
        AtMost(0)
    with pytest.raises(DeclarationError, match="'a b' cannot name a limit"):
        AtMost(1, name="a b")


@pytest.mark.parametrize(
    ("limit", "key"),
    [
        (AtMost(5), "index"),
        (AtMost(5, per="user:{user_id}"), "index/user:7"),
        (AtMost(5, per=lambda user_id, **_: f"u{user_id}"), "index/u7"),
        (AtMost(5, per="user:{user_id}", name="all"), "all/user:7"),
        (AtMost(5, name="all"), "all"),
    ],
)
def test_the_key_of_a_limit_begins_with_the_task_type_or_the_name_that_is_shared(
    app: Tidemill, limit: AtMost, key: str
) -> None:
    made = declared(app, limit=limit).call(7).new_task().limit
    assert made is not None
    assert (made.key, made.at_most) == (key, 5)


def test_arguments_that_do_not_fit_the_limit_are_an_invalid_payload(app: Tidemill) -> None:
    send = declared(app, limit=AtMost(5, per="{page[9]}"))
    with pytest.raises(PayloadInvalid, match=r"the limit '\{page\[9\]\}' cannot be made of it"):
        send.call(7).new_task()


def test_options_may_give_another_limit(app: Tidemill) -> None:
    send = declared(app, limit=AtMost(5)).options(limit=AtMost(2, per="{page}"))
    made = send.call(7).new_task().limit
    assert made is not None
    assert (made.key, made.at_most) == ("index/a", 2)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: debounce("k", wait=0), "wait 0:00:00 must be above 0"),
        (lambda: debounce("k", wait=5, at_most=4), "at_most 0:00:04 is below the wait of 0:00:05"),
        (lambda: throttle("k", per=-1), "must be above 0"),
        (lambda: cached("k", keep=0), "cached 0:00:00 must be above 0"),
        (lambda: Unique("k", within=SECOND), 'needs on_conflict="replace"'),
    ],
)
def test_times_that_cannot_be_are_refused(make: Any, told: str) -> None:
    with pytest.raises(DeclarationError, match=told):
        make()


def test_results_must_be_retained_for_as_long_as_they_are_cached(app: Tidemill) -> None:
    kept = cached("{page}", keep=HOUR)
    told = "caches results for 1:00:00, but its completed tasks are removed after 0:01:00"
    assert told in refused(app, unique=kept, retention=MINUTE)
    send = declared(app, retention=MINUTE)
    with pytest.raises(DeclarationError, match=told):
        send.options(unique=kept)


# limits


async def test_no_more_than_the_limit_of_one_key_are_let_in(scene: MakeScene) -> None:
    async with scene() as at:
        send = declared(at.app, limit=AtMost(2, per="user:{user_id}"))
        mine = await send.enqueue_many([{"user_id": 1}] * 4)
        other = await send.enqueue(2)
        assert [await each.state() for each in mine] == ["pending"] * 2 + ["blocked"] * 2
        assert (await mine[2].get()).blocked_on == "limit"
        assert await other.state() is State.PENDING
        claims = await at.hand.claim(10)
        assert {claim.ref.task_id for claim in claims} == {mine[0].id, mine[1].id, other.id}
        await at.hand.settle(claims[0], Completed())
        assert [await each.state() for each in mine[2:]] == ["pending", "blocked"]


async def test_task_types_that_share_a_name_count_together(scene: MakeScene) -> None:
    """As the 5 tasks at once that one user of the knowledge base may have, of whatever type."""
    async with scene() as at:
        limit = AtMost(2, per="{user_id}", name="per-user")
        first = at.app.task(name="parse", limit=limit)(index)
        second = at.app.task(name="embed", limit=limit)(index)
        handles = [await each.enqueue(1) for each in (first, second, second, first)]
        assert [await each.state() for each in handles] == ["pending"] * 2 + ["blocked"] * 2


# debounce


async def test_a_debounced_task_runs_once_with_the_last_arguments(scene: MakeScene) -> None:
    async with scene() as at:
        send = declared(at.app, unique=debounce("{user_id}", wait=5))
        first = await send.enqueue(1, "a")
        for page in "bcd":
            await at.hand.pass_time(4 * SECOND)
            again = await send.enqueue(1, page)
            assert (again.id, again.duplicate) == (first.id, True)
        await at.hand.pass_time(4 * SECOND)
        assert await at.hand.claim() == []
        await at.hand.pass_time(SECOND)
        claim = await at.hand.take()
        assert send.task_type.signature.load(claim.payload)["page"] == "d"


async def test_calls_that_never_stop_do_not_hold_it_back_for_ever(scene: MakeScene) -> None:
    async with scene() as at:
        send = declared(at.app, unique=debounce("{user_id}", wait=5, at_most=12))
        first = await send.enqueue(1, "a")
        for page, later in (("b", 4), ("c", 4), ("d", 3)):
            await at.hand.pass_time(later * SECOND)
            assert await at.hand.claim() == [], "each call holds it back by 5 s"
            await send.enqueue(1, page)
        await at.hand.pass_time(SECOND)
        claim = await at.hand.take()
        assert claim.ref.task_id == first.id
        assert send.task_type.signature.load(claim.payload)["page"] == "d"


async def test_a_call_while_the_debounced_task_runs_makes_a_new_one(scene: MakeScene) -> None:
    async with scene() as at:
        send = declared(at.app, unique=debounce("{user_id}", wait=5))
        first = await send.enqueue(1)
        await at.hand.pass_time(5 * SECOND)
        await at.hand.take()
        second = await send.enqueue(1)
        assert (second.duplicate, await second.state()) == (False, State.SCHEDULED)
        assert second.id != first.id


async def test_a_call_that_says_when_waits_for_that_instead(scene: MakeScene) -> None:
    async with scene() as at:
        send = declared(at.app, unique=debounce("{user_id}", wait=5))
        soon = await send.options(delay=1).enqueue(1)
        assert (await soon.get()).run_at == at.now + SECOND
        late = await send.options(run_at=at.now + HOUR).enqueue(2)
        assert (await late.get()).run_at == at.now + HOUR


# throttle


async def test_a_throttled_call_runs_at_once_and_others_get_its_handle(scene: MakeScene) -> None:
    async with scene() as at:
        send = declared(at.app, unique=throttle("{user_id}", per=60))
        first = await send.enqueue(1, "a")
        await at.hand.settle(await at.hand.take(), Completed())
        await at.hand.pass_time(59 * SECOND)
        second = await send.enqueue(1, "b")
        assert (second.id, second.duplicate) == (first.id, True)
        assert not (await send.enqueue(2)).duplicate
        await at.hand.pass_time(SECOND)
        assert not (await send.enqueue(1)).duplicate


# cached


async def test_a_cached_result_is_answered_until_its_time_is_over(scene: MakeScene) -> None:
    async with scene() as at:
        send = declared(at.app, unique=cached("{page}", keep=HOUR))
        first = await send.enqueue(1, "a")
        live = await send.enqueue(2, "a")
        assert (live.id, live.duplicate) == (first.id, True)
        await at.hand.pass_time(MINUTE)
        await at.hand.complete(await at.hand.take(), "summary")
        await at.hand.pass_time(HOUR - SECOND)
        again = await send.enqueue(3, "a")
        assert (again.duplicate, await again.result(1)) == (True, "summary")
        assert not (await send.enqueue(3, "b")).duplicate
        await at.hand.pass_time(SECOND)
        assert not (await send.enqueue(3, "a")).duplicate


async def test_a_failure_is_not_cached(scene: MakeScene) -> None:
    async with scene() as at:
        send = declared(at.app, unique=cached("{page}", keep=HOUR))
        first = await send.enqueue(1)
        await at.hand.settle(await at.hand.take(), Failed(BROKE))
        second = await send.enqueue(1)
        assert not second.duplicate
        assert second.id != first.id


# in the tests of an application


class Visit(msgspec.Struct):
    path: str


async def test_the_harness_runs_what_is_due_of_a_batch_task_type_as_one_batch() -> None:
    app, calls = Tidemill("memory://"), []

    @app.batch(Visit, size=3, within=HOUR)
    async def record(visits: list[Visit]) -> list[int]:
        calls.append([visit.path for visit in visits])
        return [len(visit.path) for visit in visits]

    @app.task
    async def other() -> str:
        handle = await record.enqueue(path="/from-a-task")
        return handle.id

    async with Harness(app) as harness:
        handles = await record.enqueue_many({"path": f"/{n}"} for n in range(4))
        made = await other.enqueue()
        later = await record.options(delay=60).enqueue(path="/later")
        await harness.drain()
        assert [await each.result() for each in handles] == [2] * 4
        assert calls[0] == ["/0", "/1", "/2"]
        assert await app.handle(await made.result()).result() == len("/from-a-task")
        assert await later.state() is State.SCHEDULED
        await harness.run_for(minutes=1)
        assert calls[-1] == ["/later"]


async def test_the_harness_debounces_in_its_own_time() -> None:
    app = Tidemill("memory://")
    send = declared(app, unique=debounce("{user_id}", wait=5))
    async with Harness(app) as harness:
        first = await send.enqueue(1, "a")
        await harness.run_for(seconds=4)
        await send.enqueue(1, "b")
        await harness.run_for(seconds=4)
        assert await first.state() is State.SCHEDULED
        await harness.run_for(seconds=1)
        assert await first.result() == "b"
