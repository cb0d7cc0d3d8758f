"""What an operator says about the mailroom: `tidemill.yaml`, and where its files are.

ai:                            # as in docs/configuration.md: providers, active services
security:
  encryption_key: "64 hexadecimal digits"    # seals the passwords of mailboxes
database:
  dsn: postgresql://…          # else mailroom.db in the folder
applications:
  mailroom:
    vectors: milvus://host:19530             # else index.db in the folder
    spam:
      filter: {keywords: …, allow: […], deny: […], threshold: 0.6}
    sync: {allow_private: false}
    notify:                                  # who gets alerts by mail; nobody unless it is given
      to: [ops@example.org]
      lang: zh
      server: {host: smtp.example.org, sender: mailroom@example.org, username: …, password: …}
"""

import os
import shlex
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final
from urllib.parse import quote

import msgspec
from sqlalchemy import URL

from tidemill import ConfigError
from tidemill.configuration import Configuration, find, load
from tidemill.sealing import Keyring
from tidemill_apps.mailroom.spam.filter import FilterSettings
from tidemill_apps.services.engine_file import engine_file
from tidemill_apps.services.mailer import Language, MailServer
from tidemill_apps.services.text.routing import AiSettings

FOLDER_VARIABLE: Final = "TIDEMILL_MAILROOM_DIR"
NAME: Final = "mailroom"

_WORDS: Final = frozenset({"host", "port", "user", "password", "dbname", "sslmode"})
"""Of libpq's words for a database, those that its driver here is told."""


class SpamSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How spam is told from other mail."""

    filter: FilterSettings = FilterSettings()


class SyncSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How mailboxes are synced; `allow_private` lets users name servers that are not public."""

    allow_private: bool = False


class NotifySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who is told of alerts by mail, in which language, and the server that takes the mail."""

    to: tuple[str, ...]
    server: MailServer
    lang: Language = "en"


class MailroomSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The section `applications.mailroom`.

    `vectors` and `keywords` say where search looks: URLs, None for a file in the folder.
    """

    vectors: str | None = None
    keywords: str | None = None
    spam: SpamSettings = SpamSettings()
    sync: SyncSettings = SyncSettings()
    notify: NotifySettings | None = None


class Place(msgspec.Struct, frozen=True):
    """Where everything is kept, and what the operator said."""

    folder: Path
    ai: AiSettings
    mailroom: MailroomSettings
    configuration: Configuration

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> "Place":
        """What the environment names; raises `ConfigError` for what is wrong with the file."""
        told = load(find(environment), environment).checked()
        try:
            mailroom = msgspec.convert(told.applications.get(NAME, {}), MailroomSettings)
        except msgspec.ValidationError as error:
            raise ConfigError(f"applications.{NAME}: {error}") from error
        return cls(data_folder(environment), AiSettings.of(told.ai), mailroom, told)

    @property
    def database(self) -> str:
        """The URL of the business database."""
        dsn = self.configuration.database.dsn
        return f"sqlite:///{quote(str(self.folder / 'mailroom.db'))}" if dsn is None else _url(dsn)

    @property
    def index(self) -> Path:
        """The file of vectors and words, where no server has them."""
        return self.folder / "index.db"

    @property
    def mails(self) -> Path:
        """The folder of the mails' bytes."""
        return self.folder / "mails"

    def keyring(self) -> Keyring:
        """What seals the passwords of mailboxes.

        Without a configured key one is made in the folder, readable by its owner only: it guards
        copies of the database, not against whoever reads the folder.
        """
        security = self.configuration.security
        configured = Keyring.of(security.encryption_key, security.former_encryption_keys)
        return configured or Keyring(_own_key(self.folder / "key"))


def data_folder(environment: Mapping[str, str]) -> Path:
    """Where everything is kept: `TIDEMILL_MAILROOM_DIR`, or `.tidemill/mailroom` from here."""
    return Path(environment.get(FOLDER_VARIABLE) or ".tidemill/mailroom").absolute()


def engine_url(environment: Mapping[str, str]) -> str:
    """The engine that the configuration names, else `tasks.db` in the folder, which is made.

    What is wrong with the configuration is told by whoever opens it.
    """
    told = load(find(environment), environment).configuration
    return told.url or engine_file(data_folder(environment))


def _own_key(path: Path) -> bytes:
    """The key in a file, made unless it is there; of processes that make one at once one wins."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, aside = tempfile.mkstemp(dir=path.parent)  # only its owner can read it
        with os.fdopen(handle, "w", encoding="ascii") as opened:
            opened.write(os.urandom(32).hex())
            opened.flush()
            os.fsync(opened.fileno())
        with suppress(FileExistsError):
            os.link(aside, path)
        Path(aside).unlink()
    return bytes.fromhex(path.read_text("ascii"))


def _url(dsn: str) -> str:
    """A URL of a database, from one or from the words of libpq (`host=… dbname=…`)."""
    if "://" in dsn:
        return dsn
    try:
        said = dict(word.split("=", 1) for word in shlex.split(dsn))
    except ValueError:
        raise ConfigError("database.dsn is neither a URL nor words such as host=…") from None
    if unknown := sorted(said.keys() - _WORDS):
        raise ConfigError(
            f"database.dsn: {unknown[0]} is not understood; there are {', '.join(sorted(_WORDS))}"
        )
    made = URL.create(
        "postgresql",
        username=said.get("user"),
        password=said.get("password"),
        host=said.get("host", "localhost"),
        port=int(said.get("port", "5432")),
        database=said.get("dbname"),
        query={"ssl": said["sslmode"]} if "sslmode" in said else {},
    )
    return made.render_as_string(hide_password=False)
