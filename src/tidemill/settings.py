"""Settings as frozen values: what an application and its workers may be told.

Flags win over the environment, the environment over a file, a file over code; `replace` lays one
over the other.
"""

import os
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Final, Literal

import msgspec

from tidemill.alert import AlertSettings
from tidemill.errors import ConfigError
from tidemill.ids import is_name
from tidemill.sealing import check_keys
from tidemill.task import (
    DEFAULT_LEASE,
    DEFAULT_QUEUE,
    DEFAULT_RETENTION,
    HIGHEST_PRIORITY,
    LOWEST_PRIORITY,
    NORMAL_PRIORITY,
    Retention,
)

if TYPE_CHECKING:
    from ipaddress import IPv4Network, IPv6Network

DEFAULT_URL = "sqlite:///tidemill.db"
KEY_VARIABLE = "TIDEMILL_SECURITY__ENCRYPTION_KEY"
FORMER_KEYS_VARIABLE = "TIDEMILL_SECURITY__FORMER_ENCRYPTION_KEYS"
"""Variables of the environment as a configuration has them: former keys with commas between."""

AUTO: Final = "auto"
"""The `concurrency` of a worker that finds out by itself how many tasks it should run at once."""


def _check_above_zero(settings: msgspec.Struct, *names: str) -> None:
    for name in names:
        value = getattr(settings, name)
        if value is None or value == AUTO:
            continue
        if value <= (timedelta(0) if isinstance(value, timedelta) else 0):
            raise ConfigError(f"{name} {value} must be above 0")


class Defaults(msgspec.Struct, frozen=True, kw_only=True):
    """What task types get that do not say otherwise.

    `timeout` and `soft_timeout` of None let a task run as long as its worker lives.
    `max_attempts` counts the first attempt.
    """

    queue: str = DEFAULT_QUEUE
    priority: int = NORMAL_PRIORITY
    max_attempts: int = 4
    timeout: timedelta | None = None
    soft_timeout: timedelta | None = None
    retention: Retention = DEFAULT_RETENTION

    def __post_init__(self) -> None:
        """Refuse what no task type could have."""
        if not is_name(self.queue):
            raise ConfigError(f"{self.queue!r} cannot name a queue: 1-200 of A-Z a-z 0-9 _ . : -")
        if not LOWEST_PRIORITY <= self.priority <= HIGHEST_PRIORITY:
            raise ConfigError(f"priority {self.priority} is not within 0..10 (10 runs first)")
        _check_above_zero(self, "max_attempts", "timeout", "soft_timeout")
        if self.timeout and self.soft_timeout and self.soft_timeout >= self.timeout:
            raise ConfigError(
                f"the soft timeout {self.soft_timeout} must be below the timeout {self.timeout}"
            )


class WorkerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How one worker process works.

    `concurrency` is the number of async tasks at once; ordinary functions run on up to `threads`
    threads, isolated ones in up to `children` child processes. A concurrency of `"auto"` is found
    and kept up to date by measuring, for each queue by itself, and so is the number of threads;
    docs/concurrency.md has the rule. A lease of `lease` is renewed each
    `heartbeat`; a loop that stalls for `stall` stops the renewal, so that others take over.
    `grace` is how long a drain lets tasks finish before it hands them back. After `max_tasks`
    tasks or at `max_memory_mib` the process drains and is replaced. A child process is replaced
    after `child_max_tasks` tasks, and an allocation beyond `child_memory_mib` of address space
    fails in it.
    """

    queues: tuple[str, ...] | None = None
    concurrency: int | Literal["auto"] = 100
    threads: int = 16
    children: int = max(2, os.cpu_count() or 1)
    lease: timedelta = DEFAULT_LEASE
    heartbeat: timedelta = timedelta(seconds=5)
    stall: timedelta = timedelta(minutes=5)
    grace: timedelta = timedelta(seconds=30)
    max_tasks: int | None = None
    max_memory_mib: int | None = None
    child_max_tasks: int | None = None
    child_memory_mib: int | None = None

    def __post_init__(self) -> None:
        """Refuse a worker that could not work or would lose what it runs."""
        if isinstance(self.concurrency, str) and self.concurrency != AUTO:
            raise ConfigError(f"concurrency {self.concurrency!r}: write a whole number or {AUTO!r}")
        _check_above_zero(
            self,
            "concurrency",
            "threads",
            "children",
            "lease",
            "heartbeat",
            "stall",
            "max_tasks",
            "max_memory_mib",
            "child_max_tasks",
            "child_memory_mib",
        )
        if self.grace < timedelta(0):
            raise ConfigError(f"grace {self.grace} must not be negative")
        if self.heartbeat >= self.lease:
            raise ConfigError(
                f"the heartbeat {self.heartbeat} must be below the lease {self.lease}, or running "
                "tasks are taken away; a third of it is usual"
            )


class WebhookSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where webhooks may be sent besides the internet.

    `allow_networks` are networks such as `10.1.0.0/16` or `fd00::/8`; `allow_http` lets URLs be
    plain http, which anybody on the way can read.
    """

    allow_networks: tuple[str, ...] = ()
    allow_http: bool = False

    def __post_init__(self) -> None:
        """Refuse what is no network."""
        _ = self.networks

    @property
    def networks(self) -> "tuple[IPv4Network | IPv6Network, ...]":
        """The networks as values."""
        return tuple(_network(text) for text in self.allow_networks)


def _network(text: str) -> "IPv4Network | IPv6Network":
    from ipaddress import ip_network  # noqa: PLC0415  # 5 ms that `import tidemill` has not to take

    try:
        return ip_network(text)
    except ValueError as error:
        raise ConfigError(
            f"allow_networks: {text!r} is no network: write it as 10.1.0.0/16, fd00::/8 or "
            f"10.1.2.3/32 ({error})"
        ) from error


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that an application may be told.

    `payload_limit` is in bytes and holds for results too. With an `encryption_key`, 32 bytes in
    hexadecimal, what is stored is encrypted with it; it is read with any of the
    `former_encryption_keys` too (docs/encryption.md).
    """

    url: str = DEFAULT_URL
    defaults: Defaults = Defaults()
    worker: WorkerSettings = WorkerSettings()
    webhooks: WebhookSettings = WebhookSettings()
    alerts: AlertSettings = AlertSettings()
    payload_limit: int = 1024 * 1024
    encryption_key: str | None = None
    former_encryption_keys: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse a limit that no payload keeps, and what is no key."""
        _check_above_zero(self, "payload_limit")
        check_keys(self.encryption_key, self.former_encryption_keys)

    def __repr__(self) -> str:
        """All but the keys, which nobody is to find in a log."""
        said = ", ".join(
            f"{name}={getattr(self, name)!r}"
            for name in self.__struct_fields__
            if not name.endswith(("encryption_key", "encryption_keys"))
        )
        return f"Settings({said})"


def with_keys_of(environment: Mapping[str, str], settings: Settings) -> Settings:
    """Settings with the encryption keys that an environment names; it wins over code."""
    key, former = (environment.get(each) for each in (KEY_VARIABLE, FORMER_KEYS_VARIABLE))
    if not key and not former:
        return settings
    names = tuple(name for each in (former or "").split(",") if (name := each.strip()))
    return msgspec.structs.replace(
        settings,
        encryption_key=key or settings.encryption_key,
        former_encryption_keys=names or settings.former_encryption_keys,
    )
