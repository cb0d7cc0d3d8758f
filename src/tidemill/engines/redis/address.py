"""Where the servers are and how to reach them, read from one URL.

    redis://[user[:password]@]host[:port][/db][?option=value…]          one server
    redis+sentinel://[user[:password]@]host[:port],…/service[/db][?…]   the primary of a service
    redis+cluster://[user[:password]@]host[:port],…[?…]                 every primary of a cluster

`rediss` instead of `redis` is TLS, also to the sentinels. Every spelling with `valkey` and
`valkeys` means the same. The options:

    prefix=tidemill                     what the names of all keys begin with
    durability=strict|standard|fast     refuse servers that promise less
    replicas=N                          a write counts when N replicas have it (WAIT)
    username=, password_file=, password_env=                       instead of user:password@
    sentinel_username=, sentinel_password_file=, sentinel_password_env=
    ca=, cert=, key=                    TLS: files of the authority, our certificate and its key
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal
from urllib.parse import parse_qsl, unquote

import msgspec

from tidemill.errors import ConfigError, EngineRefused
from tidemill.ids import is_name

Mode = Literal["single", "sentinel", "cluster"]
Durability = Literal["strict", "standard", "fast"]

DEFAULT_PREFIX: Final = "tidemill"
DEFAULT_PORT: Final = 6379
DEFAULT_SENTINEL_PORT: Final = 26379

_SCHEMES: Final[Mapping[str, Mode]] = {"": "single", "sentinel": "sentinel", "cluster": "cluster"}
_TLS: Final = {"redis": False, "valkey": False, "rediss": True, "valkeys": True}
_EXAMPLES: Final[Mapping[Mode, str]] = {
    "single": "redis://localhost:6379/0",
    "sentinel": "redis+sentinel://sentinel1:26379,sentinel2:26379/mymaster",
    "cluster": "redis+cluster://node1:6379,node2:6379",
}
_MASK: Final = "***"
_GIVEN_AWAY: Final = re.compile(r"(password=)[^&]*")


class Place(msgspec.Struct, frozen=True, order=True):
    """A server's host and port."""

    host: str
    port: int

    def __str__(self) -> str:
        """As in a URL: an IPv6 host in brackets."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Login(msgspec.Struct, frozen=True):
    """Who we are to a server; `source` says where the password is kept, `held` what it is there.

    A password in a file or an environment variable is read at every connect, so that it can be
    changed while we run.
    """

    username: str = ""
    source: Literal["none", "url", "file", "env"] = "none"
    held: str = ""

    def __repr__(self) -> str:
        """Never the password."""
        shown = _MASK if self.source == "url" else self.held
        return f"Login({self.username!r}, {self.source!r}, {shown!r})"

    def password(self) -> str:
        """The password as of now, empty when there is none; `EngineRefused` if it is not there."""
        match self.source:
            case "file":
                try:
                    return Path(self.held).read_text(encoding="utf-8").rstrip("\r\n")
                except (OSError, UnicodeDecodeError) as error:
                    raise EngineRefused(
                        f"the password file {self.held} cannot be read: {error}"
                    ) from error
            case "env":
                found = os.environ.get(self.held)
                if found is None:
                    raise EngineRefused(
                        f"the environment variable {self.held} that should hold the password of "
                        "the Redis server is not set"
                    )
                return found
            case _:
                return self.held


class Tls(msgspec.Struct, frozen=True):
    """Files in PEM form; an empty `ca` means the authorities that this machine trusts."""

    ca: str = ""
    cert: str = ""
    key: str = ""


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """Where the servers are and how to reach them; made by `parse`.

    `places` are the sentinels, or the nodes of a cluster that are asked for the others.
    `durability` is what the operator demands, None without a demand; `replicas` how many of them
    must confirm a write. `location` is the URL for people, without secrets.
    """

    mode: Mode
    places: tuple[Place, ...]
    location: str
    service: str = ""
    db: int = 0
    tls: Tls | None = None
    login: Login = Login()
    sentinel_login: Login = Login()
    prefix: str = DEFAULT_PREFIX
    durability: Durability | None = None
    replicas: int = 0


def parse(url: str) -> Address:
    """Read a URL; `ConfigError` says what is wrong with it and shows one that is right."""
    scheme, found, rest = url.partition("://")
    kind, _, way = scheme.partition("+")
    mode = _SCHEMES.get(way)
    if not found or kind not in _TLS or mode is None:
        raise ConfigError(
            f"{f'{scheme}://' if found else 'a URL without ://'} names no Redis or Valkey server; "
            f"write one of {', '.join(_EXAMPLES.values())}"
        )
    place, _, query = rest.partition("?")
    authority, _, path = place.partition("/")
    user, _, hosts = authority.rpartition("@")
    if "@" in path or "@" in query:  # then what is before it may be half of a password
        raise _Reader(mode, f"{scheme}://{_MASK}@{rest.rpartition('@')[2]}").wrong(
            "has an @ behind the hosts: write / ? and @ in a password as %2F %3F and %40"
        )
    reader = _Reader(mode, _shown(scheme, user, hosts, path, query))
    options = reader.options(query)
    service, db = reader.path(path)
    address = Address(
        mode=mode,
        places=reader.places(hosts),
        location=reader.location,
        service=service,
        db=db,
        tls=reader.tls(options, wanted=_TLS[kind]),
        login=reader.login(options, user=user),
        sentinel_login=(reader.login(options, role="sentinel_") if mode == "sentinel" else Login()),
        prefix=reader.prefix(options),
        durability=reader.durability(options),
        replicas=reader.count("replicas", options.pop("replicas", "0")),
    )
    if options:
        raise reader.wrong(f"does not know the options {', '.join(sorted(options))}")
    return address


def _shown(scheme: str, user: str, hosts: str, path: str, query: str) -> str:
    """The URL for people."""
    name, colon, _ = user.partition(":")
    who = f"{name}:{_MASK}@" if colon else f"{name}@" if name else ""
    query = _GIVEN_AWAY.sub(rf"\1{_MASK}", query)  # there is no such option, but people try it
    return f"{scheme}://{who}{hosts}{'/' * bool(path)}{path}{'?' * bool(query)}{query}"


class _Reader:
    """Reads the parts of one URL, and names it in every error."""

    def __init__(self, mode: Mode, location: str) -> None:
        self.mode = mode
        self.location = location

    def wrong(self, what: str) -> ConfigError:
        """The URL cannot be used."""
        return ConfigError(f"{self.location} {what}; write for example {_EXAMPLES[self.mode]}")

    def options(self, query: str) -> dict[str, str]:
        """The options, each at most once."""
        pairs = parse_qsl(query, keep_blank_values=True)
        options = dict(pairs)
        if len(options) < len(pairs):
            raise self.wrong("gives an option twice")
        return options

    def places(self, hosts: str) -> tuple[Place, ...]:
        """The hosts; several only where one is found through any of them."""
        places = tuple(self._place(host) for host in hosts.split(","))
        if self.mode == "single" and len(places) > 1:
            raise self.wrong(
                "names several servers: they need a scheme that says how they belong together, "
                f"{_EXAMPLES['cluster']} or {_EXAMPLES['sentinel']}"
            )
        return places

    def _place(self, text: str) -> Place:
        if text.startswith("["):  # an IPv6 host
            host, _, rest = text[1:].partition("]")
            port = rest.removeprefix(":")
            if rest and not rest.startswith(":"):
                raise self.wrong(f"has a host that cannot be read ({text})")
        else:
            host, _, port = text.partition(":")
            if ":" in port:
                raise self.wrong(f"has an IPv6 host without brackets ({text}), as in [::1]:6379")
        if not host:
            raise self.wrong("names no host" if not text else f"names no host before {text}")
        default = DEFAULT_SENTINEL_PORT if self.mode == "sentinel" else DEFAULT_PORT
        number = self.count("port", port) if port else default
        if not 0 < number < 65_536:
            raise self.wrong(f"has the port {port}, which is none of 1 to 65535")
        return Place(host=host, port=number)

    def path(self, path: str) -> tuple[str, int]:
        """The service (Sentinel only) and the database number."""
        service, db = "", path
        if self.mode == "sentinel":
            service, _, db = path.partition("/")
            if not service:
                raise self.wrong("names no service after the sentinels")
        number = self.count("database number", db or "0")
        if self.mode == "cluster" and number:
            raise self.wrong(
                f"asks for database {number}: a cluster is used with database 0 only "
                "(several applications share one by a prefix of their own)"
            )
        return unquote(service), number

    def count(self, what: str, text: str) -> int:
        """A whole number, not negative."""
        if not (text.isascii() and text.isdigit()):
            raise self.wrong(f"has the {what} {text!r}, which is no number")
        return int(text)

    def login(self, options: dict[str, str], *, user: str = "", role: str = "") -> Login:
        """Who to log in as, with the password from one place."""
        name, colon, password = user.partition(":")
        names = [unquote(name), options.pop(f"{role}username", "")]
        if all(names):
            raise self.wrong(f"gives the user twice, before @ and as {role}username")
        passwords = [
            Login("".join(names), "url", unquote(password)) if colon and password else None,
            self._kept(options, "".join(names), "file", f"{role}password_file"),
            self._kept(options, "".join(names), "env", f"{role}password_env"),
        ]
        given = [login for login in passwords if login is not None]
        if len(given) > 1:
            raise self.wrong("gives the password in two places")
        if not given and any(names):
            raise self.wrong(
                f"names the user {''.join(names)} without a password (user:password@, "
                f"{role}password_file= or {role}password_env=; a password alone is :password@)"
            )
        return given[0] if given else Login()

    def _kept(
        self, options: dict[str, str], name: str, source: Literal["file", "env"], option: str
    ) -> Login | None:
        if option not in options:
            return None
        held = options.pop(option)
        if not held:
            raise self.wrong(f"has an empty {option}")
        return Login(name, source, held)

    def tls(self, options: dict[str, str], *, wanted: bool) -> Tls | None:
        """The TLS files, which only make sense where there is TLS."""
        files = {name: options.pop(name) for name in ("ca", "cert", "key") if name in options}
        if not wanted:
            if files:
                raise self.wrong(f"gives {', '.join(files)}, which are for TLS: use rediss")
            return None
        if ("cert" in files) != ("key" in files):
            raise self.wrong("gives only one of cert and key, which belong together")
        return Tls(**files)

    def prefix(self, options: dict[str, str]) -> str:
        """What the names of all keys begin with."""
        prefix = options.pop("prefix", DEFAULT_PREFIX)
        if not is_name(prefix):
            raise self.wrong(f"has the prefix {prefix!r}: 1 to 200 of the letters A-Za-z0-9_.:-")
        return prefix

    def durability(self, options: dict[str, str]) -> Durability | None:
        """The level demanded."""
        match options.pop("durability", None):
            case None:
                return None
            case "strict" | "standard" | "fast" as level:
                return level
            case other:
                raise self.wrong(f"has durability={other}, which is none of strict, standard, fast")
