"""`email:embed` has search find a mail that it could not find while the embedder was down."""

from datetime import timedelta
from typing import Final

import msgspec

from tidemill import Cancel, Context
from tidemill_apps.mailroom.analyses import stored_mail
from tidemill_apps.mailroom.app import ANALYZE, app, mailroom
from tidemill_apps.mailroom.indexing import PATIENCE, index_mail
from tidemill_apps.mailroom.retrying import EMBEDDING

STEPS: Final = {"load": 5, "index": 95}
TIMEOUT: Final = PATIENCE + timedelta(seconds=15)


class Embedded(msgspec.Struct, frozen=True):
    """By how many passages search finds a mail, and the model that embedded them."""

    passages: int
    model: str


@app.task(
    name="email:embed",
    queue=ANALYZE,
    priority=3,
    timeout=TIMEOUT,
    retry=EMBEDDING,
    unique="{user_id}:{email_id}",
    steps=STEPS,
)
async def email_embed(ctx: Context, email_id: str, user_id: str) -> Embedded | Cancel:
    """Embed the passages of a mail; what has a vector is not embedded again.

    Tried for more than a day: without it the mail is found by its words alone.
    """
    room = ctx.use(mailroom)
    async with room.database.reading() as session:
        mail = await stored_mail(session, user_id, email_id)
    await ctx.step("load", 1)
    passages = await index_mail(room, mail, warned=True)
    await ctx.step("index", 1)
    if not passages:
        return Cancel(f"mail {email_id} is empty: there is nothing to find it by")
    return Embedded(passages, room.embedder.model_id)
