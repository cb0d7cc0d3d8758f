"""The rights that docs/redis.md gives the engine's user are enough, and are not more."""

import itertools
import re
from collections.abc import Callable, Iterator

import pytest
import redis

from tests.docs.pages import ROOT
from tests.servers.server import Server, server
from tidemill.engine import Engine
from tidemill.engines import open_engine
from tidemill.testing import RULES, Rule, check_rule

USER, PASSWORD = "tidemill", "correct-horse"
SUBJECTS = frozenset({"claim", "settle", "feed", "documents", "fire", "limits", "prune", "find"})
SHORT = [rule for rule in RULES if rule.subject in SUBJECTS]


def documented() -> str:
    """The rules of the user as the page has them, with a password."""
    page = (ROOT / "docs" / "redis.md").read_text("utf-8")
    [rules] = re.findall(r"^ACL SETUSER tidemill on (>PASSWORD ~.*)$", page, re.MULTILINE)
    return str(rules).replace("PASSWORD", PASSWORD)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server on which the default user may nothing."""
    users = {"default": "off", USER: documented()}
    with server(tmp_path_factory.mktemp("guarded"), users=users) as made:
        yield made


@pytest.fixture
def make(guarded: Server) -> Iterator[Callable[..., Engine]]:
    numbers = itertools.count(1)
    address = f"redis://{USER}:{PASSWORD}@127.0.0.1:{guarded.port}"
    yield lambda clock: open_engine(f"{address}?prefix=tidemill:{next(numbers)}", clock=clock)
    guarded.command("FLUSHALL")


@pytest.mark.parametrize("rule", SHORT, ids=[f"{rule.subject}:{rule.name}" for rule in SHORT])
async def test_the_documented_rights_are_enough(rule: Rule, make: Callable[..., Engine]) -> None:
    await check_rule(rule, make)


@pytest.mark.parametrize(
    "words",
    [
        ("GET", "other:key"),
        ("SET", "other:key", "x"),
        ("EVAL", "return redis.call('GET', 'other:key')", "0"),
        ("FLUSHALL",),
        ("FLUSHDB",),
        ("KEYS", "*"),
        ("CONFIG", "SET", "dir", "."),
        ("DEBUG", "SLEEP", "0"),
        ("ACL", "LIST"),
        ("MODULE", "LIST"),
        ("REPLICAOF", "127.0.0.1", "1"),
        ("SHUTDOWN",),
        ("CLIENT", "LIST"),
        ("MONITOR",),
        ("SCRIPT", "FLUSH"),
        ("PUBLISH", "other", "x"),
    ],
    ids=" ".join,
)
def test_the_documented_rights_allow_nothing_else(words: tuple[str, ...], guarded: Server) -> None:
    with redis.Redis(port=guarded.port, username=USER, password=PASSWORD) as client:
        with pytest.raises(redis.ResponseError, match=r"NOPERM|No permissions|permission"):
            client.execute_command(*words)
        assert client.ping()


def test_the_secret_of_the_server_is_asked_for(guarded: Server) -> None:
    with redis.Redis(port=guarded.port) as client, pytest.raises(redis.AuthenticationError):
        client.ping()
