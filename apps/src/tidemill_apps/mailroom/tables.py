"""The tables of the mailroom: people, their mailboxes, mail, and what was found out about it."""

from typing import Final

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from tidemill_apps.services.database import Instant

ID: Final = String(36)
ADDRESS: Final = String(1000)

metadata = MetaData()

users = Table(
    "users",
    metadata,
    Column("id", ID, primary_key=True),
    Column("name", String(200), nullable=False, unique=True),
    Column("token_sha256", String(64), unique=True),
    Column("created_at", Instant, nullable=False),
)
"""Whose mail it is. `token_sha256` is of the token by which the HTTP API knows them."""

accounts = Table(
    "accounts",
    metadata,
    Column("id", ID, primary_key=True),
    Column("user_id", ID, ForeignKey("users.id"), nullable=False),
    Column("host", String(255), nullable=False),
    Column("port", Integer, nullable=False),
    Column("security", String(10), nullable=False),
    Column("username", String(255), nullable=False),
    Column("password", Text, nullable=False),
    Column("state", String(20), nullable=False),
    Column("reason", Text),
    Column("synced_at", Instant),
    Column("created_at", Instant, nullable=False),
    UniqueConstraint("user_id", "host", "port", "username"),
)
"""A mailbox on an IMAP server. `password` is sealed; `state`: active, auth_failed or paused."""

folders = Table(
    "folders",
    metadata,
    Column("account_id", ID, ForeignKey("accounts.id", ondelete="CASCADE"), primary_key=True),
    Column("name", String(500), primary_key=True),
    Column("uidvalidity", BigInteger, nullable=False),
    Column("last_uid", BigInteger, nullable=False),
    Column("synced_at", Instant, nullable=False),
)
"""How far a folder is synced: all mails up to `last_uid` of this `uidvalidity` are stored."""

mails = Table(
    "mails",
    metadata,
    Column("id", ID, primary_key=True),
    Column("user_id", ID, ForeignKey("users.id"), nullable=False),
    Column("account_id", ID, ForeignKey("accounts.id", ondelete="SET NULL")),
    Column("folder", String(500), nullable=False),
    Column("message_key", String(1000), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("subject", Text, nullable=False),
    Column("sender_name", Text, nullable=False),
    Column("sender", ADDRESS, nullable=False),
    Column("recipients", JSON, nullable=False),
    Column("sent_at", Instant, nullable=False),
    Column("stored_at", Instant, nullable=False),
    Column("text", Text, nullable=False),
    Column("parse_error", Text),
    Column("label", String(10)),
    Column("passages", Integer),
    Column("passages_of", String(200)),
    UniqueConstraint("user_id", "message_key"),
    Index("mails_by_time", "user_id", "sent_at", "id"),
    Index("mails_by_sender", "user_id", "sender", "label"),
)
"""A mail of a user; its bytes are the file `digest`. `sender` is an address, empty for none.

`recipients` are the addresses of To and Cc. `label` is what the user called it: spam or ham.
`passages` are found by search, made with the model `passages_of`; both None while they are not.
"""

analyses = Table(
    "analyses",
    metadata,
    Column("mail_id", ID, ForeignKey("mails.id", ondelete="CASCADE"), primary_key=True),
    Column("user_id", ID, nullable=False),
    Column("digest", String(64), nullable=False),
    Column("version", Integer, nullable=False),
    Column("label", String(10)),
    Column("category", String(20), nullable=False),
    Column("sentiment", String(10), nullable=False),
    Column("sentiment_score", Float, nullable=False),
    Column("urgency", String(10), nullable=False),
    Column("summary", Text, nullable=False),
    Column("language", String(10), nullable=False),
    Column("action_items", JSON, nullable=False),
    Column("keywords", JSON, nullable=False),
    Column("is_spam", Boolean, nullable=False),
    Column("spam_probability", Float, nullable=False),
    Column("spam_reasons", JSON, nullable=False),
    Column("origin", JSON, nullable=False),
    Column("degraded", Boolean, nullable=False),
    Column("warnings", JSON, nullable=False),
    Column("analyzed_at", Instant, nullable=False),
    Index("analyses_by_category", "user_id", "category"),
    Index("analyses_degraded", "degraded", "analyzed_at"),
)
"""What is known of a mail.

`digest` and `version` tell what was analysed, and by which analyser; `label` what its user called
it at that time.
"""

contacts = Table(
    "contacts",
    metadata,
    Column("id", ID, primary_key=True),
    Column("user_id", ID, ForeignKey("users.id"), nullable=False),
    Column("address", ADDRESS, nullable=False),
    Column("name", Text, nullable=False),
    Column("mails", Integer, nullable=False),
    Column("last_at", Instant, nullable=False),
    Column("sentiment", Float),
    UniqueConstraint("user_id", "address"),
    Index("contacts_by_mails", "user_id", "mails"),
)
"""Whoever wrote to a user. All numbers are those of `interactions`, which count each mail once."""

interactions = Table(
    "interactions",
    metadata,
    Column("mail_id", ID, ForeignKey("mails.id", ondelete="CASCADE"), primary_key=True),
    Column("contact_id", ID, ForeignKey("contacts.id", ondelete="CASCADE"), nullable=False),
    Column("at", Instant, nullable=False),
    Column("sentiment", Float),
    Index("interactions_by_contact", "contact_id", "at", "sentiment"),
)
"""A mail from a contact; `sentiment` (-1..1) is None until the mail is analysed."""

contexts = Table(
    "contexts",
    metadata,
    Column("id", ID, primary_key=True),
    Column("user_id", ID, ForeignKey("users.id"), nullable=False),
    Column("name", String(200), nullable=False),
    Column("keywords", JSON, nullable=False),
    Column("stakeholders", JSON, nullable=False),
    Column("created_at", Instant, nullable=False),
    UniqueConstraint("user_id", "name"),
)
"""What a user works on: mails with these words, or with these addresses, belong to it."""

context_links = Table(
    "context_links",
    metadata,
    Column("context_id", ID, ForeignKey("contexts.id", ondelete="CASCADE"), primary_key=True),
    Column("mail_id", ID, ForeignKey("mails.id", ondelete="CASCADE"), primary_key=True),
    Column("matched", Text, nullable=False),
    Index("context_links_by_mail", "mail_id"),
)
"""A mail that belongs to a context, and the word or address that says so."""

spam_tables = Table(
    "spam_tables",
    metadata,
    Column("id", ID, primary_key=True),
    Column("user_id", ID, ForeignKey("users.id")),
    Column("counts", Text, nullable=False),
    Column("figures", JSON, nullable=False),
    Column("trained_at", Instant, nullable=False),
    Index("spam_tables_by_user", "user_id", "trained_at"),
)
"""A table that the spam filter learnt, as JSON; the newest one of a user is in use."""

notices = Table(
    "notices",
    metadata,
    Column("key", String(500), primary_key=True),
    Column("rule", String(100), nullable=False),
    Column("subject", String(500), nullable=False),
    Column("level", String(20), nullable=False),
    Column("text", Text, nullable=False),
    Column("at", Instant, nullable=False),
    Index("notices_by_time", "at"),
)
"""An alert that was crossed, or is over, told once."""
