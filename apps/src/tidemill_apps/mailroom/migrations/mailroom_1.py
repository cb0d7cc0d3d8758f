"""Users, mailboxes, mail, analyses, contacts, contexts, spam tables, notices."""

import sqlalchemy as sa
from alembic import op

revision = "mailroom_1"
down_revision = None
branch_labels = None
depends_on = None

_ID = sa.String(36)
_ADDRESS = sa.String(1000)
_AT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "users",
        sa.Column("id", _ID, primary_key=True),
        sa.Column("name", sa.String(200), nullable=False, unique=True),
        sa.Column("token_sha256", sa.String(64), unique=True),
        sa.Column("created_at", _AT, nullable=False),
    )
    op.create_table(
        "accounts",
        sa.Column("id", _ID, primary_key=True),
        sa.Column("user_id", _ID, sa.ForeignKey("users.id"), nullable=False),
        sa.Column("host", sa.String(255), nullable=False),
        sa.Column("port", sa.Integer, nullable=False),
        sa.Column("security", sa.String(10), nullable=False),
        sa.Column("username", sa.String(255), nullable=False),
        sa.Column("password", sa.Text, nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("synced_at", _AT),
        sa.Column("created_at", _AT, nullable=False),
        sa.UniqueConstraint("user_id", "host", "port", "username"),
    )
    op.create_table(
        "folders",
        sa.Column(
            "account_id", _ID, sa.ForeignKey("accounts.id", ondelete="CASCADE"), primary_key=True
        ),
        sa.Column("name", sa.String(500), primary_key=True),
        sa.Column("uidvalidity", sa.BigInteger, nullable=False),
        sa.Column("last_uid", sa.BigInteger, nullable=False),
        sa.Column("synced_at", _AT, nullable=False),
    )
    op.create_table(
        "mails",
        sa.Column("id", _ID, primary_key=True),
        sa.Column("user_id", _ID, sa.ForeignKey("users.id"), nullable=False),
        sa.Column("account_id", _ID, sa.ForeignKey("accounts.id", ondelete="SET NULL")),
        sa.Column("folder", sa.String(500), nullable=False),
        sa.Column("message_key", sa.String(1000), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("sender_name", sa.Text, nullable=False),
        sa.Column("sender", _ADDRESS, nullable=False),
        sa.Column("recipients", sa.JSON, nullable=False),
        sa.Column("sent_at", _AT, nullable=False),
        sa.Column("stored_at", _AT, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("parse_error", sa.Text),
        sa.Column("label", sa.String(10)),
        sa.Column("passages", sa.Integer),
        sa.Column("passages_of", sa.String(200)),
        sa.UniqueConstraint("user_id", "message_key"),
    )
    op.create_index("mails_by_time", "mails", ["user_id", "sent_at", "id"])
    op.create_index("mails_by_sender", "mails", ["user_id", "sender", "label"])
    op.create_table(
        "analyses",
        sa.Column("mail_id", _ID, sa.ForeignKey("mails.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("user_id", _ID, nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("label", sa.String(10)),
        sa.Column("category", sa.String(20), nullable=False),
        sa.Column("sentiment", sa.String(10), nullable=False),
        sa.Column("sentiment_score", sa.Float, nullable=False),
        sa.Column("urgency", sa.String(10), nullable=False),
        sa.Column("summary", sa.Text, nullable=False),
        sa.Column("language", sa.String(10), nullable=False),
        sa.Column("action_items", sa.JSON, nullable=False),
        sa.Column("keywords", sa.JSON, nullable=False),
        sa.Column("is_spam", sa.Boolean, nullable=False),
        sa.Column("spam_probability", sa.Float, nullable=False),
        sa.Column("spam_reasons", sa.JSON, nullable=False),
        sa.Column("origin", sa.JSON, nullable=False),
        sa.Column("degraded", sa.Boolean, nullable=False),
        sa.Column("warnings", sa.JSON, nullable=False),
        sa.Column("analyzed_at", _AT, nullable=False),
    )
    op.create_index("analyses_by_category", "analyses", ["user_id", "category"])
    op.create_index("analyses_degraded", "analyses", ["degraded", "analyzed_at"])
    op.create_table(
        "contacts",
        sa.Column("id", _ID, primary_key=True),
        sa.Column("user_id", _ID, sa.ForeignKey("users.id"), nullable=False),
        sa.Column("address", _ADDRESS, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("mails", sa.Integer, nullable=False),
        sa.Column("last_at", _AT, nullable=False),
        sa.Column("sentiment", sa.Float),
        sa.UniqueConstraint("user_id", "address"),
    )
    op.create_index("contacts_by_mails", "contacts", ["user_id", "mails"])
    op.create_table(
        "interactions",
        sa.Column("mail_id", _ID, sa.ForeignKey("mails.id", ondelete="CASCADE"), primary_key=True),
        sa.Column(
            "contact_id", _ID, sa.ForeignKey("contacts.id", ondelete="CASCADE"), nullable=False
        ),
        sa.Column("at", _AT, nullable=False),
        sa.Column("sentiment", sa.Float),
    )
    op.create_index("interactions_by_contact", "interactions", ["contact_id", "at", "sentiment"])
    op.create_table(
        "contexts",
        sa.Column("id", _ID, primary_key=True),
        sa.Column("user_id", _ID, sa.ForeignKey("users.id"), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("keywords", sa.JSON, nullable=False),
        sa.Column("stakeholders", sa.JSON, nullable=False),
        sa.Column("created_at", _AT, nullable=False),
        sa.UniqueConstraint("user_id", "name"),
    )
    op.create_table(
        "context_links",
        sa.Column(
            "context_id", _ID, sa.ForeignKey("contexts.id", ondelete="CASCADE"), primary_key=True
        ),
        sa.Column("mail_id", _ID, sa.ForeignKey("mails.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("matched", sa.Text, nullable=False),
    )
    op.create_index("context_links_by_mail", "context_links", ["mail_id"])
    op.create_table(
        "spam_tables",
        sa.Column("id", _ID, primary_key=True),
        sa.Column("user_id", _ID, sa.ForeignKey("users.id")),
        sa.Column("counts", sa.Text, nullable=False),
        sa.Column("figures", sa.JSON, nullable=False),
        sa.Column("trained_at", _AT, nullable=False),
    )
    op.create_index("spam_tables_by_user", "spam_tables", ["user_id", "trained_at"])
    op.create_table(
        "notices",
        sa.Column("key", sa.String(500), primary_key=True),
        sa.Column("rule", sa.String(100), nullable=False),
        sa.Column("subject", sa.String(500), nullable=False),
        sa.Column("level", sa.String(20), nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("at", _AT, nullable=False),
    )
    op.create_index("notices_by_time", "notices", ["at"])
