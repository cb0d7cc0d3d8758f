"""Questions about mail, asked as tasks: answered where the model is loaded already."""

import asyncio
from typing import Final

import msgspec

from tidemill import Context
from tidemill_apps.mailroom.app import ANALYZE, app, mailroom
from tidemill_apps.mailroom.search import Hits

ANSWERS: Final = 3


class Question(msgspec.Struct, frozen=True):
    """What is asked, and the subject of the mail that answers it."""

    text: str
    expected: str


QUESTIONS: Final = (
    Question("谁抱怨木材被雨淋湿？", "Third delayed unloading in a row"),
    Question("warehouse rent increase", "港口项目：二号仓库的租约"),
    Question("When is the sluice gate closed?", "Sluice gate out of service next week"),
)
"""The first two are answered by a mail in the other language: no word is common to both."""


@app.task(name="demo:ask", queue=ANALYZE)
async def ask(ctx: Context, user_id: str, question: str) -> Hits:
    """Search a user's mail by meaning and by words."""
    search = ctx.use(mailroom).index.search
    return await asyncio.to_thread(search, user_id, question, ANSWERS)
