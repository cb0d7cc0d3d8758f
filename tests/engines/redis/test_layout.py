"""What is in the store: where, under which names, and that nothing stays behind."""

import json
import re
from collections.abc import Awaitable, Callable
from datetime import timedelta
from importlib.resources import files

import pytest

from tests.engines.redis.campaign import QUEUES, SCHEDULES, Campaign
from tests.engines.redis.hands import Look, comes_true, looking, opened
from tidemill.clock import from_micros
from tidemill.engine import SCHEDULE, Hold, Reclaimed
from tidemill.engines.redis import keys, shard
from tidemill.engines.redis.address import parse
from tidemill.engines.redis.keys import GROUP, NAMES
from tidemill.outcome import Completed, Failed, Retried
from tidemill.task import Retention, State
from tidemill.testing.builders import BROKE
from tidemill.testing.lab import TICK, Lab, LabClock

LEASE = timedelta(seconds=30)
MINUTE = timedelta(minutes=1)

FIXED = {"meta", "known", "ledger", "feed", "queues", "lanes", "marks", "indexed"}
"""The keys of a store without tasks; these few grow with its queues, schedules and documents."""

FIXED_BY = {"dlq:", "documents:", "fires:", "stretches:", "tallies:", "totals:"}
"""The same, one for each queue, kind, schedule, or stretch of the history."""


# Dead letters


async def failed(lab: Lab, message: str = "it broke") -> str:
    claim = await lab.start(queue="mail", priority=7, retention=Retention(failed=MINUTE))
    assert await lab.settle(claim, Failed(BROKE)) is State.FAILED
    return claim.ref.task_id


async def test_a_failed_task_is_a_dead_letter_of_its_queue(url: str) -> None:
    async with opened(url, clock=LabClock()) as lab, looking(url) as look:
        task_id = await failed(lab)
        letters = look.key("dlq", "mail", queue="mail")
        (letter,) = await look.entries(letters)
        assert list(letter) == ["task", "error", "failed_at"]
        assert json.loads(letter["task"]) == {
            "id": task_id,
            "type": "work",
            "queue": "mail",
            "priority": 7,
            "attempt": 1,
            "worker": "w1",
        }
        assert json.loads(letter["error"])["message"] == BROKE.message
        at = from_micros(lab.clock.now())
        assert letter["failed_at"] == at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


async def test_a_dead_letter_goes_when_its_task_is_retried_removed_or_pruned(url: str) -> None:
    async with opened(url, clock=LabClock()) as lab, looking(url) as look:
        letters = look.key("dlq", "mail", queue="mail")
        retried, removed, pruned = [await failed(lab) for _ in range(3)]
        assert len(await look.entries(letters)) == 3
        await lab.engine.retry([retried])
        await lab.engine.remove([removed])
        (left,) = await look.entries(letters)
        assert json.loads(left["task"])["id"] == pruned
        lab.clock.advance(2 * MINUTE)
        assert await lab.engine.prune(10) == 1
        assert await look.entries(letters) == []


async def test_a_task_that_fails_again_is_one_dead_letter(url: str) -> None:
    async with opened(url, clock=LabClock()) as lab, looking(url) as look:
        task_id = await failed(lab)
        await lab.engine.retry([task_id])
        claim = await lab.take(task_id)
        assert await lab.settle(claim, Failed(BROKE)) is State.FAILED
        (letter,) = await look.entries(look.key("dlq", "mail", queue="mail"))
        assert json.loads(letter["task"])["attempt"] == 2


# The pending list as lease table


async def pending(look: Look, lane: str) -> dict[str, int]:
    """How many entries each worker holds."""
    number, _, _, holders = await look.ask("XPENDING", lane, GROUP)
    held = {name.decode(): int(count) for name, count in holders or ()}
    assert sum(held.values()) == number
    return held


async def idle(look: Look, lane: str) -> list[int]:
    """For how many milliseconds nothing was heard of each entry, oldest first."""
    return [row[2] for row in await look.ask("XPENDING", lane, GROUP, "-", "+", 100)]


async def test_the_pending_list_says_who_holds_what(url: str) -> None:
    async with opened(url) as lab, looking(url) as look:
        lane = look.key("lane", "default/5")
        for _ in range(3):
            await lab.add()
        first, _ = await lab.claim(2, worker="w1")
        (other,) = await lab.claim(2, worker="w2")
        assert await pending(look, lane) == {"w1": 2, "w2": 1}
        await lab.settle(first, Completed())
        await lab.settle(other, Retried(BROKE, MINUTE))
        assert await pending(look, lane) == {"w1": 1}


async def rested(look: Look, lane: str) -> None:
    """Return when nothing was heard of any entry for a while."""

    async def fact() -> bool:
        return min(await idle(look, lane)) >= 5

    await comes_true(fact)


async def test_extending_renews_the_idle_time_of_what_is_held(url: str) -> None:
    async with opened(url) as lab, looking(url) as look:
        lane = look.key("lane", "default/5")
        for _ in range(2):
            await lab.add()
        extended, _ = await lab.claim(2)
        await rested(look, lane)
        assert await lab.extend(extended) is Hold.HELD
        renewed, old = await idle(look, lane)
        assert renewed < old


async def test_a_stale_extension_renews_nothing(url: str) -> None:
    async with opened(url, clock=LabClock()) as lab, looking(url) as look:
        lost = await lab.start(max_attempts=2)
        assert await lab.lose(lost) is State.PENDING
        await lab.take(lost.ref.task_id, worker="w2")
        lane = look.key("lane", "default/5/alone")
        await rested(look, lane)
        assert await lab.extend(lost) is Hold.LOST
        assert min(await idle(look, lane)) >= 5
        assert await pending(look, lane) == {"w2": 1}


async def test_streams_hold_nothing_after_all_is_settled(url: str) -> None:
    async with opened(url, clock=LabClock()) as lab, looking(url) as look:
        ids = [await lab.add(priority=priority) for priority in (0, 5, 5, 10)]
        lanes = [look.key("lane", f"default/{priority}") for priority in (0, 5, 10)]
        assert [await look.ask("XLEN", lane) for lane in lanes] == [1, 2, 1]
        for claim in await lab.claim():
            await lab.settle(claim, Completed())
        assert await lab.states(*ids) == [State.COMPLETED] * 4
        assert [await look.ask("XLEN", lane) for lane in lanes] == [0, 0, 0]
        assert [await pending(look, lane) for lane in lanes] == [{}, {}, {}]


# Workers and lanes that are gone


@pytest.fixture
def forgetting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever was not heard of for a moment is forgotten."""
    monkeypatch.setattr(shard, "FORGET_WORKERS_AFTER", timedelta(milliseconds=1))


async def consumers(look: Look, lane: str) -> set[str]:
    """The workers that a lane knows; those of a lane that is gone are nobody."""
    if not await look.ask("EXISTS", lane):
        return set()
    return {row[1].decode() for row in await look.ask("XINFO CONSUMERS", lane, GROUP)}


async def swept_until(lab: Lab, fact: Callable[[], Awaitable[bool]]) -> list[Reclaimed]:
    """Reclaim again and again until it is so; answers all that was reclaimed."""
    reclaimed: list[Reclaimed] = []

    async def sweep() -> bool:
        reclaimed.extend(await lab.engine.reclaim(10))
        return await fact()

    await comes_true(sweep)
    return reclaimed


@pytest.mark.usefixtures("forgetting")
async def test_a_worker_is_forgotten_only_once_what_it_held_was_reclaimed(url: str) -> None:
    async with opened(url, clock=LabClock()) as lab, looking(url) as look:
        lane = look.key("lane", "default/5")
        first, second = [await lab.add(max_attempts=4) for _ in range(2)]
        await lab.claim(1, worker="dead")
        (quick,) = await lab.claim(1, worker="idle")
        await lab.settle(quick, Completed())

        async def idle_one_forgotten() -> bool:
            return await consumers(look, lane) == {"dead"}

        assert await swept_until(lab, idle_one_forgotten) == []
        assert await pending(look, lane) == {"dead": 1}
        lab.clock.advance(LEASE + TICK)

        async def both_forgotten() -> bool:
            return await consumers(look, lane) == set()

        (reclaimed,) = await swept_until(lab, both_forgotten)
        assert (reclaimed.task_id, reclaimed.worker) == (first, "dead")
        again = await lab.take(first)
        assert await lab.settle(again, Completed()) is State.COMPLETED
        assert await lab.states(first, second) == [State.COMPLETED, State.COMPLETED]


@pytest.mark.usefixtures("forgetting")
async def test_lanes_that_nobody_needs_are_collected_and_made_again(url: str) -> None:
    async with opened(url, clock=LabClock()) as lab, looking(url) as look:
        lanes = [look.key("lane", f"default/{priority}") for priority in (0, 5)]
        for priority in (0, 5):
            await lab.settle(await lab.take(await lab.add(priority=priority)), Completed())
        needed = await lab.add(priority=10)

        async def collected() -> bool:
            return not [lane for lane in lanes if await look.ask("EXISTS", lane)]

        await swept_until(lab, collected)
        assert await look.ask("SMEMBERS", look.key("lanes")) == [b"default/10"]
        again = await lab.add(priority=5)
        assert await lab.claimed() == [needed, again]


# Nothing leaks


def names(found: set[str], prefix: str) -> set[str]:
    """Keys without what stands before their names."""
    return {re.sub(rf"^{re.escape(prefix)}:(\{{[^}}]*\}}:)?", "", key) for key in found}


@pytest.mark.usefixtures("forgetting")
@pytest.mark.parametrize("seed", range(4))
async def test_after_everything_is_pruned_only_the_fixed_keys_are_left(url: str, seed: int) -> None:
    prefix = parse(url).prefix
    async with opened(url, clock=LabClock()) as lab, looking(url) as look:
        campaign = Campaign(lab, seed)
        await campaign.run(150)
        used = names(await look.keys(), prefix)
        await campaign.end()
        assert (await lab.engine.stats()).counts == ()

        async def lanes_collected() -> bool:
            return not [key for key in await look.keys() if NAMES["lane"] in key]

        await swept_until(lab, lanes_collected)
        left = names(await look.keys(), prefix)
        temporary = {name for name in left if name.startswith(("claims:", "unique:"))}
        assert {name.partition(":")[0] for name in used} >= {"task", "claims", "prune", "index"}
        fixed = {name for name in left if name.startswith(tuple(FIXED_BY))}
        assert left - temporary - fixed <= FIXED
        by_day = {
            each
            for each in fixed
            if re.match(r"(tallies:(hour|day)/|stretches:|totals:(hour|day))", each)
        }
        assert fixed - by_day <= {
            *(f"dlq:{queue}" for queue in QUEUES),
            *(f"documents:{kind}" for kind in ("kind", SCHEDULE)),
            *(f"fires:{schedule}" for schedule in SCHEDULES),
        }
        for key in await look.keys():
            if "claims:" in key or "unique:" in key:
                assert await look.ask("TTL", key) > 0
            if "dlq:" in key:
                assert await look.ask("XLEN", key) == 0


async def test_every_key_begins_with_the_prefix_and_with_its_queue_on_a_cluster(url: str) -> None:
    prefix, spread = parse(url).prefix, parse(url).mode == "cluster"
    async with opened(url, clock=LabClock()) as lab, looking(url) as look:
        await Campaign(lab, 7).run(200)
        found = await look.keys()
        beginning = rf"{prefix}:\{{({'|'.join(QUEUES)}|/)\}}:" if spread else f"{prefix}:"
        name = "|".join(
            re.escape(text) + (".+" if text[-1] == ":" else "") for text in NAMES.values()
        )
        assert [key for key in found if not re.fullmatch(f"{beginning}({name})", key)] == []
        queues = {match[1] for key in found if (match := re.match(rf"{prefix}:\{{([^}}]+)", key))}
        assert queues == ({*QUEUES, "/"} if spread else set())


async def test_two_prefixes_on_one_server_do_not_see_each_other(url: str) -> None:
    other = f"{url}:x"  # a prefix that begins with the first one
    async with (
        opened(url, clock=LabClock()) as one,
        opened(other, clock=LabClock()) as two,
        looking(url) as look,
    ):
        mine = await one.add()
        before = await look.keys()
        campaign = Campaign(two, 3)
        await campaign.run(60)
        made = await look.keys() - before
        assert len(made) > 20
        assert [key for key in made if not key.startswith(f"{parse(other).prefix}:")] == []
        assert await one.found() == [mine]
        assert [count.count for count in (await one.engine.stats()).counts] == [1]
        await campaign.end()
        assert await one.claimed(alone=9) == [mine]
        assert await two.found() == []


# Names


SCRIPTS = files("tidemill.engines.redis") / "scripts"


def lua() -> dict[str, str]:
    """The source of every script, by its file."""
    folders = (SCRIPTS, SCRIPTS / "prelude")
    found = [each for folder in folders for each in folder.iterdir() if each.name.endswith(".lua")]
    assert len(found) > 20
    return {each.name: re.sub(r"--[^\n]*", "", each.read_text("utf-8")) for each in found}


def test_scripts_name_no_key_themselves() -> None:
    for name, source in lua().items():
        literals = set(re.findall(r"'([^'\n]*)'", source))
        assert not literals & {text for text in NAMES.values() if text.endswith(":")}, name
        assert "KEYS[" not in source, name
        keys_of_commands = re.findall(r"redis\.p?call\('(\w+)', '([^']*)'", source)
        assert {command for command, _ in keys_of_commands} <= {"XGROUP", "XINFO", "XREADGROUP"}, (
            name
        )


def test_every_key_of_the_scripts_has_its_name_in_the_table() -> None:
    used = {name for source in lua().values() for name in re.findall(r"\bKEY\.(\w+)", source)}
    assert used <= NAMES.keys()
    python = "".join(
        each.read_text("utf-8")
        for each in files("tidemill.engines.redis").iterdir()
        if each.name.endswith(".py") and each.name != "keys.py"
    )
    assert "KEYS[1]" in keys.lua_names("")
    assert "due = ROOT .. 'due'" in keys.lua_names("redis.call('ZCARD', KEY.due)")
    used |= set(re.findall(r'NAMES\["(\w+)"\]', python))
    assert used == NAMES.keys()
    named = [text for text in NAMES.values() if text.endswith(":") and f'"{text}' in python]
    assert named == []
    assert not re.search(r"\broot \+ (?!NAMES\[)", python)
    assert keys.root("p") == "p:"
    assert keys.root("p", "q") == "p:{q}:"
