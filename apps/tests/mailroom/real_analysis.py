"""The analysis of real mail, with the real encoder: 500 of the corpus, or as many as are asked for.

MAILROOM_MAILS=6046 takes all of them. Its name keeps it out of the default tests.
"""

import os
import random
import time
from collections import Counter
from pathlib import Path

import pytest
from sqlalchemy import func, select

from apps.tests.mailroom.analysis import System, analysing, place_of
from apps.tests.mailroom.corpus import samples
from tidemill import State
from tidemill_apps.mailroom import tables
from tidemill_apps.mailroom.store import BATCH
from tidemill_apps.mailroom.tasks.analyze import email_analyze
from tidemill_apps.services.embedder import SentenceEncoder

MAILS = int(os.environ.get("MAILROOM_MAILS", "500"))


async def analyzed(system: System, mail_ids: list[str], *, force: bool) -> Counter[State]:
    for mail_id in mail_ids:
        await system.enqueue(mail_id, force=force)
    await system.harness.drain()
    return Counter(task.state for task in await system.tasks(email_analyze.name))


@pytest.mark.timeout(7200)
async def test_real_mail_is_analysed_to_its_end_and_counted_once(tmp_path: Path) -> None:
    corpus = samples()
    random.Random(9).shuffle(corpus)
    mails = [each.data for each in corpus[:MAILS]]
    encoder = SentenceEncoder()
    encoder.embed(["load the weights"])
    async with analysing(place_of(tmp_path / "home"), encoder, concurrency=10) as system:
        mail_ids: list[str] = []
        for start in range(0, len(mails), BATCH):
            mail_ids += await system.store(*mails[start : start + BATCH])
        mail_ids = list(dict.fromkeys(mail_ids))
        before = time.perf_counter()
        states = await analyzed(system, mail_ids, force=False)
        seconds = time.perf_counter() - before
        print(f"{len(mail_ids)} mails, {len(mail_ids) / seconds:.1f} mails/s in one process")
        assert states == {State.COMPLETED: len(mail_ids)}
        assert await system.counts() == await system.counted()
        counts = await system.counts()
        again = await analyzed(system, mail_ids, force=False)
        assert again == {State.COMPLETED: 2 * len(mail_ids)}
        assert await system.counts() == counts

        said = select(tables.analyses.c.summary, tables.mails.c.text).join_from(
            tables.analyses, tables.mails
        )
        for summary, text in await system.rows(said.where(~tables.analyses.c.is_spam)):
            evened = " ".join(text.split())
            sentences = [each for each in summary.split("\n") if each]
            assert len(sentences) <= 3
            assert [each for each in sentences if each not in evened] == []
        unfound = select(func.count()).where(
            tables.analyses.c.mail_id == tables.mails.c.id,
            ~tables.analyses.c.is_spam,
            tables.mails.c.passages.is_(None),
        )
        assert (await system.rows(unfound))[0][0] == 0
