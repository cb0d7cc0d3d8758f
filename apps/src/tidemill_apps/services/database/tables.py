"""The tables that every application has besides its own."""

from sqlalchemy import BigInteger, Column, Integer, MetaData, String, Table, Text

from tidemill_apps.services.database.instants import Instant

metadata = MetaData()

effect_ledger = Table(
    "effect_ledger",
    metadata,
    Column("task_type", String(200), primary_key=True),
    Column("key", Text, primary_key=True),
    Column("made_at", Instant, nullable=False),
)
"""An effect that was made, written in the transaction of the effect."""

outbox = Table(
    "outbox",
    metadata,
    Column(
        "id",
        BigInteger().with_variant(Integer, "sqlite"),
        primary_key=True,
        autoincrement=True,
    ),
    Column("task_id", String(36), nullable=False, unique=True),
    Column("call", Text, nullable=False),
    Column("recorded_at", Instant, nullable=False),
    Column("problem", Text),
)
"""A task that is to be enqueued, as JSON; `problem` is why this code cannot."""

mail_ledger = Table(
    "mail_ledger",
    metadata,
    Column("key", Text, primary_key=True),
    Column("recipient", Text, primary_key=True),
    Column("state", String(10), nullable=False),
    Column("message_id", Text, nullable=False),
    Column("answer", Text),
    Column("changed_at", Instant, nullable=False),
)
"""A mail to one recipient: `sending`, then `sent` or `refused`."""
