"""The effect ledger, the outbox, the mail ledger."""

import sqlalchemy as sa
from alembic import op

revision = "shared_1"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "effect_ledger",
        sa.Column("task_type", sa.String(200), primary_key=True),
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_table(
        "outbox",
        sa.Column(
            "id",
            sa.BigInteger().with_variant(sa.Integer, "sqlite"),
            primary_key=True,
            autoincrement=True,
        ),
        sa.Column("task_id", sa.String(36), nullable=False, unique=True),
        sa.Column("call", sa.Text, nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("problem", sa.Text),
    )
    op.create_table(
        "mail_ledger",
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("recipient", sa.Text, primary_key=True),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("message_id", sa.Text, nullable=False),
        sa.Column("answer", sa.Text),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
    )
