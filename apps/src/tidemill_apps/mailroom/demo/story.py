"""What happens in the demo, in order, and what has to come out."""

import asyncio
import os
import sys
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Final

from rich.console import Console

from tidemill import Node, State, TaskFailedError
from tidemill_apps.mailroom.accounts import NewAccount, accounts_of, add_account, user_named
from tidemill_apps.mailroom.contexts import NewContext, add_context
from tidemill_apps.mailroom.demo.asking import QUESTIONS, ask
from tidemill_apps.mailroom.demo.bringing import bring_in, source_of
from tidemill_apps.mailroom.demo.mail_server import HOST, PASSWORD
from tidemill_apps.mailroom.demo.mails import LETTERS, OWNER
from tidemill_apps.mailroom.demo.showing import (
    show_contacts,
    show_context,
    show_mails,
    show_spam,
)
from tidemill_apps.mailroom.demo.stage import Expected, Stage, judge
from tidemill_apps.mailroom.demo.texts import Say
from tidemill_apps.mailroom.opening import open_mailroom
from tidemill_apps.mailroom.reading import (
    MailQuery,
    contacts_of,
    contexts_of,
    mail_of,
    mails_by_id,
    mails_of,
)
from tidemill_apps.mailroom.settings import Place
from tidemill_apps.mailroom.tasks import app
from tidemill_apps.mailroom.tasks.sync import email_sync

_WIDTH: Final = 120
"""Columns where the output is no terminal, and so has no width."""

_STRANGER: Final = "nobody"
_REFUSED: Final = (State.FAILED, 1, "auth_failed")
_CONTEXT: Final = NewContext(
    "Harbour project", ("harbour project", "港口项目"), ("piet@lockworks.example",)
)
_BELONGING: Final = 8
"""The mails about the crane, the review and the warehouse, and Piet's."""


async def run(say: Say, *, port: int | None, letters: Path) -> int:
    """Start everything, show the demo, and drain; 0 if every expectation came true.

    The mails come from the IMAP server at `port`, or else from the folder `letters`.
    """
    node = Node(app)
    try:
        async with asyncio.TaskGroup() as system:
            system.create_task(node.run())
            async with open_mailroom(app, Place.of(os.environ)) as room:
                async with room.database.writing() as session:
                    user_id = await user_named(session, OWNER)
                width = None if sys.stdout.isatty() else _WIDTH
                console = Console(highlight=False, width=width)
                stage = Stage(say, console, room, user_id, port, letters)
                missed = [each for each in await _show(stage) if not each.met]
            node.drain("the demo is over")
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from failed  # the first one made the others end
    finally:
        await app.close()
    return judge(say, missed)


async def _show(stage: Stage) -> list[Expected]:
    print(stage.say.started.format(url=app.settings.url))
    async with stage.room.database.writing() as session:
        await add_context(session, stage.user_id, _CONTEXT)
    bring = await source_of(stage)
    met = await bring_in(stage, bring)
    met += await _show_results(stage)
    met += await _ask(stage)
    new = await bring()
    print(f"\n{stage.say.again.format(new=new)}")
    met.append(Expected("again", new, 0))
    if stage.port is not None:
        met.append(await _wrong_password(stage, stage.port))
    counts = ", ".join(f"{state} {n}" for state, n in (await _counts(stage.say)).items())
    print(f"\n{stage.say.counts.format(counts=counts)}")
    return met


async def _show_results(stage: Stage) -> list[Expected]:
    say, console, user_id = stage.say, stage.console, stage.user_id
    async with stage.room.database.reading() as session:
        good = (await mails_of(session, user_id, MailQuery(spam=False, limit=200))).mails
        bad = (await mails_of(session, user_id, MailQuery(spam=True, limit=200))).mails
        spam = [await mail_of(session, user_id, each.id) for each in bad]
        contacts = await contacts_of(session, user_id)
        (context,) = await contexts_of(session, user_id)
        belonging = (await mails_of(session, user_id, MailQuery(context_id=context.id))).mails
        views = [await mail_of(session, user_id, each.id) for each in good]
    show_mails(say, console, good)
    for mail in views:
        if mail.parse_error is not None:
            print(say.malformed.format(subject=mail.subject, problem=mail.parse_error))
    show_spam(say, console, spam)
    show_contacts(say, console, contacts)
    show_context(say, console, context, belonging)
    return [
        Expected(
            "spam",
            sorted(mail.subject for mail in spam),
            sorted(each.subject for each in LETTERS if each.is_spam),
        ),
        Expected("malformed", sum(mail.parse_error is not None for mail in views), 1),
        Expected("contacts", sum(each.mails for each in contacts), len(LETTERS)),
        Expected("context", len(belonging), _BELONGING),
    ]


async def _ask(stage: Stage) -> list[Expected]:
    say, met = stage.say, list[Expected]()
    print(f"\n{say.asking}")
    handles = [await ask.enqueue(stage.user_id, each.text) for each in QUESTIONS]
    for question, handle in zip(QUESTIONS, handles, strict=True):
        hits = (await handle.result()).hits
        async with stage.room.database.reading() as session:
            mails = await mails_by_id(session, stage.user_id, [each.mail_id for each in hits])
        subjects = [mails[each.mail_id].subject for each in hits]
        print(f"\n{question.text}")
        for rank, subject in enumerate(subjects, start=1):
            print(say.answer.format(rank=rank, subject=subject))
        found = question.expected in subjects
        if found:
            rank = subjects.index(question.expected) + 1
            print(say.found.format(expected=question.expected, rank=rank))
        met.append(Expected("answer", found, wanted=True))
    return met


async def _wrong_password(stage: Stage, port: int) -> Expected:
    """A mailbox that does not open: its sync fails once and is not tried again."""
    say, room = stage.say, stage.room
    async with room.database.writing() as session:
        new = NewAccount(HOST, _STRANGER, f"not {PASSWORD}", "none", port)
        account = await add_account(session, room.keyring, stage.user_id, new)
    handle = await email_sync.enqueue(stage.user_id, account.id)
    with suppress(TaskFailedError):
        await handle.result()
    task = await handle.get()
    async with room.database.reading() as session:
        (refused,) = await accounts_of(session, stage.user_id, account.id)
    print(f"\n{say.locked_out}")
    told = say.refused.format(
        state=say.states.get(task.state, task.state),
        attempts=task.attempt,
        reason=task.error.message if task.error else "",
        account=refused.state,
    )
    print(told)
    return Expected("refused", (task.state, task.attempt, refused.state), _REFUSED)


async def _counts(say: Say) -> Counter[str]:
    counts: Counter[str] = Counter()
    for each in (await (await app.engine()).stats()).counts:
        counts[say.states.get(each.state, each.state)] += each.count
    return counts
