import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.servers.cluster import agreed, cluster
from tests.servers.guarded import guarded
from tests.servers.ports import Port
from tests.servers.server import KINDS, LASTING, TLS_KINDS, Kind, NotStarted, Server, server
from tests.servers.waiting import until

_ONCE = Retry(NoBackoff(), 0)


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Kind:
    chosen: Kind = request.param
    return chosen


@pytest.fixture
def running(tmp_path: Path, kind: Kind) -> Iterator[Server]:
    with server(tmp_path, kind=kind, config=LASTING) as made:
        yield made


def test_a_server_starts_empty_and_is_the_process_that_it_says(running: Server) -> None:
    info = running.info()
    assert running.command("DBSIZE") == 0
    assert (info["process_id"], info["tcp_port"]) == (str(running.pid), str(running.port))
    assert info.get("server_name", "redis") == running.kind


def test_its_url_lets_a_client_in(running: Server) -> None:
    with redis.Redis.from_url(running.url) as client:
        assert client.set("name", "value")
    assert running.command("GET", "name") == b"value"


@pytest.mark.parametrize("end", [Server.stop, Server.kill])
def test_a_server_comes_back_at_the_same_port_with_what_it_kept(
    running: Server, end: Callable[[Server], None]
) -> None:
    port, before = running.port, running.pid
    running.command("SET", "kept", "1")
    end(running)
    assert not running.running
    with pytest.raises(ConnectionRefusedError):
        running.command("PING")
    running.start()
    assert running.command("GET", "kept") == b"1"
    assert running.port == port
    assert running.pid != before


def test_restarting_is_stopping_and_starting(running: Server) -> None:
    before = running.pid
    running.restart()
    assert running.pid != before
    assert running.command("PING") == b"PONG"


def test_a_frozen_server_hears_nothing_until_it_is_thawed(running: Server) -> None:
    with socket.create_connection(("127.0.0.1", running.port)) as link:
        running.freeze()
        link.sendall(b"PING\r\n")
        assert psutil.Process(running.pid).status() == psutil.STATUS_STOPPED
        running.thaw()
        assert link.recv(100) == b"+PONG\r\n"


def test_a_frozen_server_can_be_stopped(running: Server) -> None:
    running.freeze()
    running.stop()
    assert not running.running


def test_an_error_answer_is_raised_with_the_servers_words(running: Server) -> None:
    with pytest.raises(redis.ResponseError, match="unknown command 'NONSENSE'"):
        running.command("NONSENSE")


def test_nothing_is_left_behind_when_a_test_fails(tmp_path: Path, kind: Kind) -> None:
    def fail() -> None:
        with server(tmp_path, kind=kind) as made:
            left.append(psutil.Process(made.pid))
            made.freeze()
            raise KeyError

    left: list[psutil.Process] = []
    with pytest.raises(KeyError):
        fail()
    assert _gone(left[0])


def test_a_server_outlives_the_thread_that_started_it_but_not_the_process(tmp_path: Path) -> None:
    tests = subprocess.Popen(
        [sys.executable, "-c", _ABANDONED, str(tmp_path)], stdin=subprocess.PIPE, stdout=-1
    )
    with tests:
        assert tests.stdout is not None
        abandoned = psutil.Process(int(tests.stdout.readline()))
        assert abandoned.is_running()
        tests.send_signal(signal.SIGKILL)
    until(lambda: _gone(abandoned), "the abandoned server was gone")


def _gone(process: psutil.Process) -> bool:
    # Whoever inherits it may be slow to take note of its end.
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


_ABANDONED = """
import sys, threading
from pathlib import Path
from tests.servers.server import server

def start():
    made.append(kept.__enter__())

kept, made = server(Path(sys.argv[1])), []
thread = threading.Thread(target=start)
thread.start()
thread.join()
made[0].command("PING")
print(made[0].pid, flush=True)
sys.stdin.read()
"""


def test_a_server_that_cannot_start_says_why(tmp_path: Path, kind: Kind) -> None:
    wrong = server(tmp_path, kind=kind, config={"nonsense": "1"})
    with pytest.raises(NotStarted, match="nonsense"), wrong:
        pass


def test_a_port_in_use_is_not_taken_for_a_start(tmp_path: Path, running: Server) -> None:
    second = server(tmp_path / "second", kind=running.kind, port=running.port)
    with pytest.raises(NotStarted, match="in use"), second:
        pass


def test_a_port_is_reserved_while_nobody_listens_on_it() -> None:
    first = Port.free()
    assert Port.at(first.number) is None
    first.close()
    again = Port.at(first.number)
    assert again is not None
    again.close()


def test_passwords_and_users_are_asked_for(tmp_path: Path, kind: Kind) -> None:
    users = {"worker": ">secret ~tidemill:* +@all"}
    config = {"requirepass": "word"}
    with server(tmp_path, kind=kind, config=config, users=users) as made:
        with redis.Redis.from_url(made.url) as client:
            assert client.ping()
        with (
            redis.Redis(port=made.port, retry=_ONCE) as client,
            pytest.raises(redis.AuthenticationError),
        ):
            client.ping()
        with redis.Redis(port=made.port, username="worker", password="secret") as client:
            client.set("tidemill:1", 1)
            with pytest.raises(redis.ResponseError, match=r"(?i)no permissions"):
                client.set("other", 1)
        assert made.command("GET", "tidemill:1") == b"1"


@pytest.mark.parametrize("kind", TLS_KINDS)
def test_a_server_speaks_tls_with_a_certificate_of_its_own(tmp_path: Path, kind: Kind) -> None:
    with server(tmp_path, kind=kind, tls=True) as made:
        assert made.certificates is not None
        trusted = str(made.certificates.authority)
        with redis.Redis.from_url(made.url, ssl_ca_certs=trusted) as client:
            assert client.ping()
        with (
            redis.Redis.from_url(made.url, retry=_ONCE) as client,
            pytest.raises(redis.ConnectionError, match="certificate verify failed"),
        ):
            client.ping()


def test_tls_is_refused_where_the_server_cannot_speak_it(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Proxy"), server(tmp_path, kind="valkey", tls=True):
        pass


@pytest.fixture(scope="module", params=KINDS)
def nodes(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[Server]]:
    folder = tmp_path_factory.mktemp("cluster")
    with cluster(folder, kind=request.param, config=LASTING) as made:
        yield made


def test_the_nodes_of_a_cluster_share_the_slots(nodes: list[Server]) -> None:
    ends = [slots[1] for slots in sorted(nodes[0].command("CLUSTER", "SLOTS"))]
    assert ends == [5460, 10921, 16383]
    with redis.RedisCluster("127.0.0.1", nodes[0].port) as client:
        for number in range(50):
            client.set(str(number), number)
    kept = [node.command("DBSIZE") for node in nodes]
    assert sum(kept) == 50
    assert min(kept) > 0


@pytest.mark.parametrize("nodes", ["valkey"], indirect=True)
def test_a_node_that_was_killed_joins_its_cluster_again(nodes: list[Server]) -> None:
    # "a" belongs to slot 15495, the last node's.
    nodes[2].command("SET", "a", 1)
    nodes[2].kill()
    nodes[2].start()
    agreed(nodes)
    assert nodes[2].command("GET", "a") == b"1"
    with pytest.raises(redis.ResponseError, match=f"MOVED 15495 127.0.0.1:{nodes[2].port}"):
        nodes[0].command("GET", "a")


def test_a_replica_becomes_the_primary_by_order(tmp_path: Path) -> None:
    with guarded(tmp_path, kind=KINDS[-1]) as servers:
        first, second = servers.primary, servers.replica
        first.command("SET", "kept", "1")
        assert servers.fail_over() is second
        assert (servers.primary, servers.replica) == (second, first)
        assert second.command("GET", "kept") == b"1"
        with pytest.raises(redis.ResponseError, match="READONLY"):
            first.command("SET", "kept", "2")


def test_a_replica_becomes_the_primary_when_that_dies(tmp_path: Path) -> None:
    with guarded(tmp_path) as servers:
        first, second = servers.primary, servers.replica
        first.command("SET", "kept", "1")
        assert servers.fail_over(kill=True) is second
        assert (servers.primary, servers.replica) == (second, first)
        assert not first.running
        second.command("INCR", "kept")
        servers.mend()
        assert first.command("ROLE")[0] == b"slave"
        assert first.command("GET", "kept") == b"2"


def test_a_client_finds_the_primary_through_the_sentinels(tmp_path: Path) -> None:
    with guarded(tmp_path, replicas=2, sentinels=3) as servers:
        hosts = [("127.0.0.1", sentinel.port) for sentinel in servers.sentinels]
        assert servers.url == "redis+sentinel://{}:{},{}:{},{}:{}/tidemill".format(
            *[word for host in hosts for word in host]
        )
        for sentinel in servers.sentinels:
            found = sentinel.command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "tidemill")
            assert found == [b"127.0.0.1", str(servers.primary.port).encode()]
        assert len(servers.replicas) == 2
