"""What a server must be, and what it promises."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.engines.redis.samples import COUNT, ROOT, linked, script
from tests.servers.cluster import cluster
from tests.servers.guarded import guarded
from tests.servers.server import KINDS, Kind, Server, server
from tidemill.engines.redis import demands
from tidemill.engines.redis.address import parse
from tidemill.engines.redis.demands import Standing, examine, level, refuse
from tidemill.engines.redis.faults import rights
from tidemill.errors import EngineRefused

LASTING = {"appendonly": "yes"}


async def examined(url: str) -> Standing:
    async with linked(url) as link:
        return await examine(link, link.address)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_server_is_known_by_its_software_and_version(tmp_path: Path, kind: Kind) -> None:
    with server(tmp_path, kind=kind, config=LASTING) as made:
        standing = await examined(made.url)
        assert standing.kind == kind
        version = made.info()["valkey_version" if kind == "valkey" else "redis_version"]
        assert standing.versions == {kind: version, "mode": "single"}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("config", "query", "durability"),
    [
        ({"appendonly": "yes", "appendfsync": "always"}, "", "strict"),
        ({"appendonly": "yes", "appendfsync": "always"}, "?durability=strict", "strict"),
        ({"appendonly": "yes"}, "", "standard"),
        ({"appendonly": "yes"}, "?durability=fast", "standard"),
        ({"appendonly": "yes"}, "?replicas=1", "strict"),
        ({"appendonly": "yes", "appendfsync": "no"}, "", "fast"),
        ({}, "", "fast"),
        ({}, "?replicas=1", "standard"),
    ],
)
async def test_the_durability_level_is_that_of_the_disk_raised_by_replicas(
    tmp_path: Path, kind: Kind, config: Mapping[str, str], query: str, durability: str
) -> None:
    with server(tmp_path, kind=kind, config=config) as made:
        assert (await examined(f"{made.url}{query}")).durability == durability


@pytest.mark.parametrize(
    ("config", "lost"),
    [({"save": '""'}, "loses every task;"), ({"save": "3600 1"}, "since the last snapshot")],
)
async def test_without_an_append_only_file_the_operator_is_told_what_a_restart_loses(
    tmp_path: Path, config: Mapping[str, str], lost: str
) -> None:
    with server(tmp_path, config=config) as made:
        (warning,) = (await examined(made.url)).warnings
        assert lost in warning
        assert "appendonly yes" in warning


async def test_a_lasting_server_gives_no_reason_to_warn(tmp_path: Path) -> None:
    with server(tmp_path, config=LASTING) as made:
        assert (await examined(made.url)).warnings == ()


@pytest.mark.parametrize("kind", KINDS)
async def test_a_level_that_is_demanded_and_not_given_is_refused(
    tmp_path: Path, kind: Kind
) -> None:
    with server(tmp_path / "fast", kind=kind) as made:
        for demanded in ("standard", "strict"):
            with pytest.raises(EngineRefused, match=f"demands durability={demanded}.*give fast"):
                await examined(f"{made.url}?durability={demanded}")
    with server(tmp_path / "standard", kind=kind, config=LASTING) as made:
        with pytest.raises(EngineRefused, match=r"give standard: .*appendfsync always"):
            await examined(f"{made.url}?durability=strict")
        assert (await examined(f"{made.url}?durability=strict&replicas=1")).durability == "strict"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl"])
async def test_a_server_that_drops_keys_is_refused(tmp_path: Path, kind: Kind, policy: str) -> None:
    with server(tmp_path, kind=kind, config={"maxmemory-policy": policy}) as made:
        with pytest.raises(EngineRefused, match=f"maxmemory-policy {policy}") as error:
            await examined(made.url)
        assert "CONFIG SET maxmemory-policy noeviction" in str(error.value)
        made.command("CONFIG", "SET", "maxmemory-policy", "noeviction")
        await examined(made.url)


@pytest.mark.parametrize(
    ("info", "refused"),
    [
        ({"redis_version": "6.0.16"}, "redis 6.0.16"),
        ({"redis_version": "5.0"}, "redis 5.0"),
        ({"redis_version": "6.2.0"}, ""),
        ({"redis_version": "8.0.3"}, ""),
        ({"redis_version": "10.0"}, ""),
        ({"redis_version": "7.2.4", "valkey_version": "7.1.0"}, "valkey 7.1.0"),
        ({"redis_version": "7.2.4", "valkey_version": "7.2.5"}, ""),
    ],
)
def test_a_server_that_is_too_old_is_refused(info: dict[str, str], refused: str) -> None:
    found = demands.Server("127.0.0.1:6379", info, {})
    if refused:
        with pytest.raises(EngineRefused, match=f"{refused}: .*upgrade"):
            refuse(found, parse("redis://localhost"))
    else:
        refuse(found, parse("redis://localhost"))


async def test_a_replica_is_refused_with_the_place_of_its_primary(tmp_path: Path) -> None:
    with guarded(tmp_path) as watched:
        with pytest.raises(EngineRefused, match=f"is a replica.*127.0.0.1:{watched.primary.port}"):
            await examined(watched.replica.url)
        standing = await examined(watched.url)
        assert standing.versions["mode"] == "sentinel"
        assert any("a failover may lose" in warning for warning in standing.warnings)
        confirmed = await examined(f"{watched.url}?replicas=1")
        assert not any("failover" in warning for warning in confirmed.warnings)
        lacking = await examined(f"{watched.url}?replicas=2")
        assert any("has 1 replicas and 2 must confirm" in text for text in lacking.warnings)


async def test_of_a_cluster_every_primary_is_examined_and_the_worst_counts(tmp_path: Path) -> None:
    with cluster(tmp_path, config=LASTING) as nodes:
        url = f"redis+cluster://127.0.0.1:{nodes[0].port}"
        standing = await examined(url)
        assert (standing.durability, standing.warnings) == ("standard", ())
        assert standing.versions["mode"] == "cluster"
        nodes[2].command("CONFIG", "SET", "appendonly", "no")
        standing = await examined(url)
        assert standing.durability == "fast"
        assert standing.warnings[0].startswith(f"127.0.0.1:{nodes[2].port} keeps no append-only")
        nodes[1].command("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
        with pytest.raises(EngineRefused, match=f"127.0.0.1:{nodes[1].port} has maxmemory-policy"):
            await examined(url)
        with pytest.raises(EngineRefused, match=r"write redis\+cluster://"):
            await examined(nodes[0].url)


# Rights


@pytest.mark.parametrize("kind", KINDS)
async def test_the_documented_rights_are_enough_and_reach_no_other_key(
    tmp_path: Path, kind: Kind
) -> None:
    users = {"narrow": f">pw {rights('tidemill')}"}
    with server(tmp_path, kind=kind, config=LASTING, users=users) as made:
        made.command("SET", "other", "x")
        async with linked(f"redis://narrow:pw@127.0.0.1:{made.port}/2") as link:
            assert await examine(link, link.address) == Standing(
                kind, {kind: version(made), "mode": "single"}, "standard"
            )
            assert await link.call(COUNT, ROOT) == 1
            assert [page async for page in link.scan("tidemill:*")] == [[f"{ROOT}n".encode()]]
            beyond = script("return redis.call('GET', 'other')"), script("redis.call('FLUSHALL')")
            for forbidden in beyond:
                with pytest.raises(EngineRefused, match=r"give the user ~tidemill:\*"):
                    await link.call(forbidden, ROOT)
            for words in (("GET", "other"), ("FLUSHALL",), ("CONFIG", "SET", "save", "")):
                with pytest.raises(EngineRefused, match="NOPERM"):
                    await link.command(*words)


def version(server: Server) -> str:
    return server.info()["valkey_version" if server.kind == "valkey" else "redis_version"]


@pytest.mark.parametrize(
    ("without", "warning"),
    [("-config|get", "does not let us read appendfsync"), ("resetchannels", "only every 5 s")],
)
async def test_rights_that_are_missing_are_said(tmp_path: Path, without: str, warning: str) -> None:
    users = {"narrow": f">pw {rights('tidemill')} {without}"}
    with server(tmp_path, config=LASTING, users=users) as made:
        standing = await examined(f"redis://narrow:pw@127.0.0.1:{made.port}")
        assert standing.durability == "standard"
        (said,) = standing.warnings
        assert warning in said


async def test_an_answer_without_settings_is_no_reason_to_fail(tmp_path: Path) -> None:
    """A managed server may hide CONFIG and leave fields out of INFO."""
    found: Any = demands.Server("127.0.0.1:6379", {"redis_version": "7.0"}, None)
    refuse(found, parse("redis://localhost"))
    assert level(found, parse("redis://localhost")) == "fast"
