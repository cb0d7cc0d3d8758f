"""A worker is killed when an analysis is kept and its task is not yet settled."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import select

from apps.tests.mailroom.analysis import place_of, room_of
from apps.tests.mailroom.mails import PLAIN
from tidemill.engines import open_engine
from tidemill_apps.mailroom import tables
from tidemill_apps.mailroom.accounts import user_named
from tidemill_apps.mailroom.app import app
from tidemill_apps.mailroom.store import MailStore, Origin, Raw
from tidemill_apps.mailroom.tasks.analyze import analysis_of

ROOT = Path(__file__).parents[3]


@contextmanager
def worker() -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "apps.tests.mailroom.analysis_process"]
    process = subprocess.Popen(command, cwd=ROOT)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.mark.timeout(90)
async def test_an_analysis_that_was_kept_before_a_kill_counts_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = place_of(tmp_path / "home")
    url = f"sqlite:///{place.folder / 'tasks.db'}"
    monkeypatch.setenv("TIDEMILL_MAILROOM_DIR", str(place.folder))
    monkeypatch.setenv("TIDEMILL_CONFIG", str(place.folder / "tidemill.yaml"))
    monkeypatch.setenv("TIDEMILL_URL", url)
    app.use_engine(open_engine(url))
    try:
        async with room_of(app, place) as room:
            async with room.database.writing() as session:
                ann = await user_named(session, "ann")
            store = MailStore(room.database, room.outbox, room.files, ())
            await store.store(Origin(ann, None, "INBOX"), [Raw(PLAIN)])
            async with room.database.reading() as session:
                mail_id = str((await session.execute(select(tables.mails.c.id))).scalar_one())
            handle = await app.enqueue(analysis_of(ann, mail_id, force=True))
            with worker() as first:
                assert first.wait(60) == -signal.SIGKILL
            kept = select(tables.analyses.c.analyzed_at)
            async with room.database.reading() as session:
                before = (await session.execute(kept)).scalar_one()
            with worker():
                analyzed = await handle.result(60)
            async with room.database.reading() as session:
                after = (await session.execute(kept)).scalar_one()
                [contact] = (await session.execute(select(tables.contacts))).all()
        assert (await handle.get()).attempt == 2
        assert after > before  # it was forced, so it was made again
        assert (contact.mails, analyzed.passages, analyzed.warnings) == (1, 1, ())
    finally:
        await app.close()
        app.use_engine(None)
