"""The tasks of the mailroom, and `app`, which has them all.

    tidemill -A tidemill_apps.mailroom.tasks:app up

analyze   what a mail is, says and wants (`email:analyze`)
embed     search finds a mail that it could not find before (`email:embed`)
contact   mails count for whoever sent them (`contact:update`)
repair    analyses made while the AI provider was down are made again (`email:repair`)
sync      new mail is fetched (`email:sync`, `email:sync_all`)
train     the spam filter learns from what users call their mail (`spam:train`)
backfill  mail of before is linked to contexts (`context:backfill`)
reindex   all mail is embedded again, also by another model (`email:reindex`)
health    the operator is told of alerts (`health:alerts`, `health:tell`)
"""

from tidemill_apps.mailroom.app import app
from tidemill_apps.mailroom.tasks import (
    analyze,
    backfill,
    contact,
    embed,
    health,
    reindex,
    repair,
    sync,
    train,
)

__all__ = [
    "analyze",
    "app",
    "backfill",
    "contact",
    "embed",
    "health",
    "reindex",
    "repair",
    "sync",
    "train",
]
