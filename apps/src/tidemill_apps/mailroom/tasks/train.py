"""`spam:train` learns from what users call their mail, each night."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

import msgspec

from tidemill import Cancel, Context
from tidemill_apps.mailroom.app import MAINTENANCE, app, mailroom
from tidemill_apps.mailroom.labels import Labelling, labellers, labellings
from tidemill_apps.mailroom.learning import publish
from tidemill_apps.mailroom.message import parse_mail
from tidemill_apps.mailroom.opening import Mailroom
from tidemill_apps.mailroom.retrying import SYNCING
from tidemill_apps.mailroom.spam.training import (
    LEAST_LABELS,
    Labelled,
    TooFewLabels,
    Trial,
    retrain,
    train,
    train_shared,
)
from tidemill_apps.services.files import Files, UnknownFile

STEPS: Final = {"labels": 1, "read": 20, "train": 78, "publish": 1}
_AT_ONCE: Final = 200


class Trained(msgspec.Struct, frozen=True):
    """How a new table judges mail that it has not seen, and whether it is in use now.

    `labels` mails were learnt from and judged; `recall` and `false_positive_rate` are shares,
    `former_…` those of the table that was in use. It replaces that one unless it judges worse.
    """

    labels: int
    recall: float
    false_positive_rate: float
    former_recall: float
    former_false_positive_rate: float
    features: int
    published: bool


@app.task(
    name="spam:train",
    queue=MAINTENANCE,
    priority=1,
    timeout=timedelta(minutes=30),
    retry=SYNCING,
    unique="{user_id}",
    steps=STEPS,
)
async def spam_train(ctx: Context, user_id: str | None = None) -> Trained | Cancel:
    """Learn a spam table from the mails that a user has called spam or ham.

    Without a user it learns a table for those who have none of their own, from what all users
    said, leaving out what names anybody, and enqueues a training for each user who has labelled
    enough. With too few labels it is cancelled, with the reason.
    """
    room = ctx.use(mailroom)
    await ctx.step("labels")
    async with room.database.reading() as session:
        said = await labellings(session, user_id)
        current = await room.spam_filters.of(session, user_id or "")  # "" has none of its own
        users = await labellers(session, LEAST_LABELS) if user_id is None else []
    labels = await _read(ctx, room.files, said)
    learn = train_shared if user_id is None else train
    await ctx.step("train")
    try:
        trial = await asyncio.to_thread(retrain, labels, current, learn)
    except TooFewLabels as error:
        return Cancel(f"{error}: label more mail")
    await _publish(room, user_id, trial)
    for each in users:
        ctx.enqueue(spam_train.options(user_id=each).call(each))
    await ctx.step("publish", 1, 1)
    return Trained(
        labels=len(labels),
        recall=trial.figures.recall,
        false_positive_rate=trial.figures.false_positive_rate,
        former_recall=trial.former.recall,
        former_false_positive_rate=trial.former.false_positive_rate,
        features=trial.features,
        published=trial.published,
    )


app.schedule("spam:train", spam_train, cron="30 3 * * *")


async def _read(ctx: Context, files: Files, said: Sequence[Labelling]) -> list[Labelled]:
    read: list[Labelled] = []
    for start in range(0, len(said), _AT_ONCE):
        some = said[start : start + _AT_ONCE]
        read += await asyncio.to_thread(_labelled, files, some)
        await ctx.step("read", start + len(some), len(said))
    return read


def _labelled(files: Files, said: Sequence[Labelling]) -> list[Labelled]:
    """The mails whose bytes are still there; a file that is lost must not end all training."""
    read = []
    for each in said:
        try:
            data = files.get(each.digest)
        except UnknownFile:
            continue
        read.append(Labelled(parse_mail(data), each.label == "spam"))
    return read


async def _publish(room: Mailroom, user_id: str | None, trial: Trial) -> None:
    if trial.published and trial.chosen.table is not None:
        async with room.database.writing() as session:
            await publish(session, user_id, trial.chosen.table, trial.figures)
