"""What becomes of mail while the AI provider or the embedder is down, and afterwards."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from apps.tests.mailroom.analysis import (
    HASHING,
    Provider,
    System,
    analysing,
    letter,
    place_of,
    provider,
)
from apps.tests.mailroom.mails import CHINESE, PLAIN
from tidemill import Handle, State, Task, TaskFailedError
from tidemill_apps.mailroom import tables
from tidemill_apps.mailroom.retrying import OUTAGE
from tidemill_apps.mailroom.tasks.analyze import SOFT_TIMEOUT, AnalyzedMail, email_analyze
from tidemill_apps.mailroom.tasks.embed import email_embed
from tidemill_apps.mailroom.tasks.repair import email_repair
from tidemill_apps.services.llmsim.faults import Fault
from tidemill_apps.services.text.offline import OfflineText
from tidemill_apps.services.text.routing import OutagePolicy, routed_text
from tidemill_apps.services.text.values import Mail


@pytest.fixture(scope="module")
def shared() -> Iterator[Provider]:
    with provider() as opened:
        yield opened


@pytest.fixture
def ai(shared: Provider) -> Provider:
    shared.mend()
    return shared


@asynccontextmanager
async def asking(ai: Provider, folder: Path, *services: str) -> AsyncIterator[System]:
    """Everything, with this provider for these services."""
    place = place_of(folder / "home", ai=ai.settings(*(services or ("chat",))))
    async with analysing(place) as system:
        yield system


def status(code: int, times: int | None = 1, retry_after: float | None = None) -> Fault:
    return Fault("status", route="chat", status=code, times=times, retry_after=retry_after)


async def begun(system: System, data: bytes = PLAIN) -> Handle[AnalyzedMail]:
    """A mail whose analysis has had its first attempt."""
    [mail_id] = await system.store(data)
    handle = await system.enqueue(mail_id)
    await system.harness.drain()
    return handle


def wait_of(task: Task, system: System) -> float:
    """For how many seconds the next attempt is away."""
    return (task.run_at - system.harness.now()).total_seconds()


async def test_a_provider_that_says_when_is_asked_then(ai: Provider, tmp_path: Path) -> None:
    async with asking(ai, tmp_path) as system:
        ai.break_next(status(429, retry_after=17))
        handle = await begun(system)
        task = await handle.get()
        assert (task.state, task.attempt, wait_of(task, system)) == (State.SCHEDULED, 1, 17)
        await system.harness.run_for(seconds=17)
        analyzed = await handle.result(1)
        assert (analyzed.origin.mode, analyzed.degraded) == ("llm", False)
        assert (await handle.get()).attempt == 2


async def test_three_errors_degrade_and_say_so_until_a_repair(ai: Provider, tmp_path: Path) -> None:
    async with asking(ai, tmp_path) as system:
        ai.break_next(status(500, times=None))
        handle = await begun(system)
        waits = [wait_of(await handle.get(), system)]
        await system.harness.run_for(seconds=5)
        waits.append(wait_of(await handle.get(), system))
        await system.harness.run_for(seconds=10)
        assert waits == [5, 10]
        analyzed = await handle.result(1)
        assert (analyzed.degraded, analyzed.origin.mode) == (True, "extractive")
        assert "500" in (analyzed.origin.reason or "")
        assert (await handle.get()).attempt == 3
        [row] = await system.rows(select(tables.analyses))
        assert row.degraded

        assert await repaired(system) == 0
        assert len(await system.tasks(email_analyze.name)) == 1
        ai.mend()
        assert await repaired(system) == 1
        [row] = await system.rows(select(tables.analyses))
        assert (row.degraded, row.origin["mode"]) == (False, "llm")
        [_, again] = await system.tasks(email_analyze.name)
        assert (again.user_id, again.state) == (system.user_id, State.COMPLETED)
        asked = ai.asked()
        assert await repaired(system) == 0
        assert ai.asked() == asked
        assert await system.counts() == {"ada@mill.example": 1}


async def repaired(system: System) -> int:
    handle = await email_repair.enqueue()
    await system.harness.drain()
    return await handle.result(1)


async def test_the_repair_runs_by_itself(ai: Provider, tmp_path: Path) -> None:
    async with asking(ai, tmp_path) as system:
        ai.break_next(status(503, times=3))
        [mail_id] = await system.store(PLAIN)
        assert (await system.analyze(mail_id)).degraded
        await system.harness.run_for(minutes=10)
        [row] = await system.rows(select(tables.analyses))
        assert not row.degraded


async def test_a_plain_request_makes_a_degraded_analysis_again(
    ai: Provider, tmp_path: Path
) -> None:
    async with asking(ai, tmp_path) as system:
        ai.break_next(status(500, times=3))
        [mail_id] = await system.store(PLAIN)
        assert (await system.analyze(mail_id)).degraded
        assert not (await system.analyze(mail_id)).degraded


async def test_a_cut_answer_is_asked_for_again(ai: Provider, tmp_path: Path) -> None:
    async with asking(ai, tmp_path) as system:
        ai.break_next(Fault("cut", route="chat"))
        handle = await begun(system)
        assert wait_of(await handle.get(), system) == 5
        await system.harness.run_for(seconds=5)
        assert (await handle.result(1)).origin.mode == "llm"


async def test_an_answer_of_another_form_is_corrected_at_once(ai: Provider, tmp_path: Path) -> None:
    async with asking(ai, tmp_path) as system:
        ai.break_next(Fault("invalid_json", route="chat"))
        handle = await begun(system)
        assert (await handle.result(1)).origin.mode == "llm"
        assert (await handle.get()).attempt == 1


async def test_answers_that_never_fit_end_degraded(ai: Provider, tmp_path: Path) -> None:
    async with asking(ai, tmp_path) as system:
        ai.break_next(Fault("invalid_json", route="chat", times=None))
        [mail_id] = await system.store(PLAIN)
        before = ai.asked()
        analyzed = await system.analyze(mail_id)
        assert analyzed.degraded
        assert "did not answer in the form asked for" in (analyzed.origin.reason or "")
        assert ai.asked() - before == 3 * 2  # each attempt asks, and asks for a correction
        [task] = await system.tasks(email_analyze.name)
        errors = {each.error.type for each in task.attempts if each.error}
        assert {error.rpartition(".")[2] for error in errors} == {"AIOutputInvalid"}


async def test_a_wrong_key_fails_at_once_and_is_not_hidden(tmp_path: Path) -> None:
    with provider(api_key="right") as guarded:
        place = place_of(tmp_path / "home", ai=guarded.settings("chat", key="wrong"))
        async with analysing(place) as system:
            handle = await begun(system)
            with pytest.raises(TaskFailedError, match="auth_failed: chat answered 401"):
                await handle.result(1)
            assert (await handle.get()).attempt == 1
            assert await system.rows(select(tables.analyses)) == []


async def test_both_languages_are_summed_up_by_the_provider(ai: Provider, tmp_path: Path) -> None:
    async with asking(ai, tmp_path) as system:
        for data, language, word in ((PLAIN, "en", "sluice"), (CHINESE, "zh", "水闸")):
            [mail_id] = await system.store(data)
            analyzed = await system.analyze(mail_id)
            assert (analyzed.analysis.language, analyzed.origin.mode) == (language, "llm")
            assert word in analyzed.analysis.summary


async def test_a_mail_is_analysed_without_the_embedder_and_found_once_that_is_up(
    ai: Provider, tmp_path: Path
) -> None:
    async with asking(ai, tmp_path, "embedding") as system:
        room = system.room
        assert room.embedder.dim == 256  # asked for once, before the outage
        ai.break_next(Fault("status", route="embeddings", status=503, times=None))
        [mail_id] = await system.store(PLAIN)
        analyzed = await system.analyze(mail_id)
        [warning] = analyzed.warnings
        assert (warning.part, analyzed.passages) == ("index", None)
        assert "503" in warning.text
        [row] = await system.rows(select(tables.mails))
        assert row.passages is None

        await system.relay()
        await system.harness.run_for(minutes=20)
        [embed] = await system.tasks(email_embed.name)
        assert embed.state is State.SCHEDULED
        assert embed.attempt > 5
        ai.mend()
        await system.harness.run_for(minutes=11)
        [embed] = await system.tasks(email_embed.name)
        assert embed.state is State.COMPLETED
        hits = room.index.search(system.user_id, "repair of the gates")
        assert ([each.mail_id for each in hits.hits], hits.degraded) == ([mail_id], False)
        [row] = await system.rows(select(tables.mails))
        assert (row.passages, row.passages_of) == (1, room.embedder.model_id)
        again = await system.analyze(mail_id)
        assert (again.passages, again.warnings) == (1, ())


async def test_a_mail_that_says_nothing_is_not_embedded(ai: Provider, tmp_path: Path) -> None:
    async with asking(ai, tmp_path) as system:
        [mail_id] = await system.store(b"From: ann@mill.example\nMessage-ID: <1@x>\n\n")
        handle = await email_embed.enqueue(mail_id, system.user_id)
        await system.harness.drain()
        task = await handle.get()
        assert (task.state, task.reason) == (
            State.CANCELLED,
            f"mail {mail_id} is empty: there is nothing to find it by",
        )


async def test_contacts_are_right_after_an_outage(ai: Provider, tmp_path: Path) -> None:
    async with asking(ai, tmp_path) as system:
        mails = [
            letter(number, "Thank you, this is great.", sender=f"{number % 5}@mill.example")
            for number in range(12)
        ]
        ai.break_next(status(500, times=20))
        for mail_id in await system.store(*mails):
            await system.enqueue(mail_id)
        await system.harness.run_for(timedelta(minutes=3))
        states = {task.state for task in await system.tasks(email_analyze.name)}
        assert states == {State.COMPLETED}
        assert await system.counts() == await system.counted()
        assert sum((await system.counts()).values()) == 12


async def test_a_provider_that_does_not_answer_in_time_is_down(
    ai: Provider, tmp_path: Path
) -> None:
    ai.break_next(Fault("slow", route="chat", seconds=3))
    settings = place_of(tmp_path / "home", ai=ai.settings("chat")).ai
    policy = OutagePolicy(retries=0, patience=timedelta(milliseconds=50))
    async with routed_text(settings, OfflineText(HASHING), policy) as routed:
        analysis = await routed.for_attempt(1).analyze_email(Mail("Gates", "They are shut."))
    assert analysis.origin.degraded
    assert analysis.origin.reason == "chat did not answer within 0.05 s"
    assert OUTAGE.patience is not None
    assert OUTAGE.patience.total_seconds() < SOFT_TIMEOUT
