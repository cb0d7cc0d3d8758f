"""What a configuration may say, section by section."""

import re
from typing import Final

import msgspec

from tidemill.alert import AlertSettings
from tidemill.errors import ConfigError
from tidemill.sealing import check_keys
from tidemill.settings import WebhookSettings, WorkerSettings

SECRETS: Final = frozenset(
    {"password", "secret", "api_key", "encryption_key", "former_encryption_keys"}
)
"""Names of values that are never shown."""

HIGHEST_PORT: Final = 65535
LOG_FORMATS: Final = ("auto", "console", "json")
LOG_LEVELS: Final = ("debug", "info", "warning", "error")


class Jwt(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens that callers of the HTTP API bring, signed with `secret`; None takes none.

    `audience` and `issuer` are what their `aud` and `iss` must say. The secret is checked by those
    who use it: at least 32 bytes.
    """

    secret: str | None = None
    expiration_hours: int = 72
    audience: str | None = None
    issuer: str | None = None

    def __post_init__(self) -> None:
        """Refuse a token that is over before it begins."""
        if self.expiration_hours < 1:
            raise ConfigError(f"expiration_hours {self.expiration_hours} must be above 0")


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """Where the HTTP API listens. Port 0 takes a free one; `root_path` is what a proxy strips.

    `allowed_hosts` are the names by which it may be asked for, besides those of the loopback.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    root_path: str = ""
    allowed_hosts: tuple[str, ...] | None = None
    environment: str = "development"
    jwt: Jwt = Jwt()

    def __post_init__(self) -> None:
        """Refuse what nothing could listen on."""
        if not 0 <= self.port <= HIGHEST_PORT:
            raise ConfigError(f"port {self.port} is not within 0..{HIGHEST_PORT}")
        if self.root_path and not re.fullmatch(r"(/[^/?#\s]+)+", self.root_path):
            raise ConfigError(
                f"root_path {self.root_path!r}: write it as /tasks, without / at the end"
            )


class EngineSection(msgspec.Struct, frozen=True, kw_only=True):
    """Which engine holds the tasks, such as `sqlite:///tidemill.db`; None leaves it to the code."""

    url: str | None = None


class Database(msgspec.Struct, frozen=True, kw_only=True):
    """The application's own database, in the form that its driver reads; Tidemill opens none."""

    dsn: str | None = None


class Redis(msgspec.Struct, frozen=True, kw_only=True):
    """A Redis or Valkey server that holds the tasks, unless `engine.url` names another engine."""

    addr: str | None = None
    password: str | None = None
    db: int = 0

    def __post_init__(self) -> None:
        """Refuse an address without a port: it would be a guess."""
        if self.addr is not None and not re.fullmatch(
            r"(\[[0-9a-fA-F:]+\]|[^\s:/@]+):\d{1,5}", self.addr
        ):
            raise ConfigError(f"addr {self.addr!r}: write it as host:port, such as localhost:6379")
        if self.db < 0:
            raise ConfigError(f"db {self.db} must not be negative")


class Services(msgspec.Struct, frozen=True, kw_only=True):
    """Which of the providers does what, by name."""

    chat: str | None = None
    embedding: str | None = None


class Provider(msgspec.Struct, frozen=True, kw_only=True):
    """How one provider is reached; the applications read it.

    `embedding_model` is for one that does more than embed.
    """

    api_key: str | None = None
    base_url: str | None = None
    model: str | None = None
    embedding_model: str | None = None


class Ai(msgspec.Struct, frozen=True, kw_only=True):
    """What applications that call models are told; `chunk_size` is in characters."""

    active_services: Services = Services()
    chunk_size: int = 1000
    providers: dict[str, Provider] = {}

    def __post_init__(self) -> None:
        """Refuse a service that nobody provides."""
        if self.chunk_size < 1:
            raise ConfigError(f"chunk_size {self.chunk_size} must be above 0")
        for service in ("chat", "embedding"):
            name = getattr(self.active_services, service)
            if name is not None and name not in self.providers:
                known = ", ".join(sorted(self.providers)) or "none"
                raise ConfigError(
                    f"active_services: {service} is {name!r}, and providers has no such name "
                    f"(there: {known})"
                )


class Security(msgspec.Struct, frozen=True, kw_only=True):
    """Keys of 32 bytes in hexadecimal (docs/encryption.md).

    What is stored is encrypted with `encryption_key`, and read with any of the former ones too.
    """

    encryption_key: str | None = None
    former_encryption_keys: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse a key of another length, without showing it."""
        check_keys(self.encryption_key, self.former_encryption_keys)


class Logs(msgspec.Struct, frozen=True, kw_only=True):
    """How programs log: `format` console, json or auto, and the `level` from which on.

    `auto` is console, but JSON where answers are asked for as JSON.
    """

    format: str = "auto"
    level: str = "info"

    def __post_init__(self) -> None:
        """Refuse what there is not."""
        for name, known in (("format", LOG_FORMATS), ("level", LOG_LEVELS)):
            if getattr(self, name) not in known:
                raise ConfigError(
                    f"{name} {getattr(self, name)!r}: choose one of {', '.join(known)}"
                )


class Metrics(msgspec.Struct, frozen=True, kw_only=True):
    """Where workers and schedulers serve metrics: a port of the loopback; None serves none.

    The HTTP API serves them besides. Port 0 takes a free one.
    """

    port: int | None = None

    def __post_init__(self) -> None:
        """Refuse what nothing could listen on."""
        if self.port is not None and not 0 <= self.port <= HIGHEST_PORT:
            raise ConfigError(f"port {self.port} is not within 0..{HIGHEST_PORT}")


class Configuration(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that `tidemill.yaml` may say. `app` is the application, as `module:name`.

    `applications` holds what applications read themselves, by their names; Tidemill does not look.
    """

    app: str | None = None
    engine: EngineSection = EngineSection()
    server: Server = Server()
    database: Database = Database()
    redis: Redis = Redis()
    worker: WorkerSettings = WorkerSettings()
    ai: Ai = Ai()
    security: Security = Security()
    webhooks: WebhookSettings = WebhookSettings()
    logs: Logs = Logs()
    metrics: Metrics = Metrics()
    alerts: AlertSettings = AlertSettings()
    applications: dict[str, object] = {}

    def __post_init__(self) -> None:
        """Refuse an application that nothing could import."""
        if self.app is not None and not re.fullmatch(r"[\w.]+:\w+", self.app):
            raise ConfigError(f"app {self.app!r}: write it as module:name, such as shop.tasks:app")

    @property
    def url(self) -> str | None:
        """The engine: `engine.url`, else that of the Redis server, else None."""
        if self.engine.url is not None or self.redis.addr is None:
            return self.engine.url
        from urllib.parse import quote  # noqa: PLC0415  # only for a server with a password

        password = f":{quote(self.redis.password, safe='')}@" if self.redis.password else ""
        return f"redis://{password}{self.redis.addr}/{self.redis.db}"
