"""Submits and reads over HTTP: one API process, its clients in another, a store of its own.

`python benchmarks/api.py` measures on Valkey, `--engine sqlite` on a file; `--ballast 1000000`
fills the store first. `--only submits,peer` chooses parts: `peer` is the same submit to FastAPI
before Celery (peers/fastapi_celery.py), on the same server by turns with ours; `gate` is the submit
with an API key and with a token by turns with one to a server that asks nobody for either. The
clients write requests that were encoded before, byte by byte, and look at nothing but status and
length of the answers: on two cores they must not be what is measured.
"""

import argparse
import asyncio
import contextlib
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import cast

import msgspec
import uvloop
import workload
from arena import HERE, KINDS, calm, fill, opened, store
from figures import Figure, machine, markdown, percentiles
from peers.environments import pinned, prepared

from tidemill import TaskQuery
from tidemill.access import FULL
from tidemill.api import create_api, trusted
from tidemill.api.server import listen, serving, url_of
from tidemill.app.credentials.tokens import Tokens
from tidemill.configuration import Jwt

CLIENTS = 64
BULK = 500
BULK_CLIENTS = 4
ROUNDS = 3
GATE_ROUNDS = 7
MYSELF = (sys.executable, str(Path(__file__)))
PAYLOAD = {"user_id": 4711, "address": "someone@example.org"}


class Load(msgspec.Struct, frozen=True):
    """What the clients do: requests by turns, for so many seconds, at so many at once.

    `rate` per second spreads them; None is as fast as the answers come.
    """

    port: int
    requests: tuple[bytes, ...]
    clients: int
    seconds: float
    rate: float | None = None


class Answered(msgspec.Struct, frozen=True):
    """How many answers came in how many seconds, how long each took, and those that were none."""

    seconds: float
    latencies: tuple[float, ...]
    wrong: dict[int, int]


# the clients, in a process of their own


class Client(asyncio.Protocol):
    """One connection: sends a request when it is told, and answers when the answer is there."""

    def __init__(self) -> None:
        self._seen = bytearray()
        self._whole = 0
        self._answer: asyncio.Future[int] | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass of it

    def ask(self, request: bytes) -> asyncio.Future[int]:
        """The status of the answer."""
        assert self._transport
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return self._answer

    def data_received(self, data: bytes) -> None:
        self._seen += data
        if not self._whole:
            end = self._seen.find(b"\r\n\r\n")
            if end < 0:
                return
            start = self._seen.find(b"content-length:") + 15
            length = int(self._seen[start : self._seen.find(b"\r\n", start)])
            self._whole = end + 4 + length
        if len(self._seen) >= self._whole and self._answer:
            status = int(self._seen[9:12])
            self._seen.clear()
            self._whole = 0
            self._answer.set_result(status)


async def load(wanted: Load) -> Answered:
    """Keep the server busy, and note how long each answer took."""
    loop = asyncio.get_running_loop()
    latencies: list[float] = []
    wrong: dict[int, int] = {}
    begun = time.perf_counter()
    end = begun + wanted.seconds
    turn = iter(range(1 << 60))

    async def client() -> None:
        _, protocol = await loop.create_connection(Client, "127.0.0.1", wanted.port)
        while True:
            number = next(turn)
            if wanted.rate is not None:
                await asyncio.sleep(begun + number / wanted.rate - time.perf_counter())
            sent = time.perf_counter()
            if sent >= end:
                return
            status = await protocol.ask(wanted.requests[number % len(wanted.requests)])
            latencies.append(time.perf_counter() - sent)
            if status not in {200, 201}:
                wrong[status] = wrong.get(status, 0) + 1

    await asyncio.gather(*(client() for _ in range(wanted.clients)))
    return Answered(time.perf_counter() - begun, tuple(latencies), wrong)


class Served(msgspec.Struct, frozen=True):
    """A server: its port, the key that it wants, and a token that it takes instead."""

    port: int
    key: str = ""
    token: str = ""


def request(method: str, path: str, body: object = None, key: str = "") -> bytes:
    """The bytes of a request that keeps its connection."""
    content = b"" if body is None else msgspec.json.encode(body)
    head = f"{method} /api/v1{path} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    if key:
        head += f"Authorization: Bearer {key}\r\n"
    if content:
        head += f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n"
    return f"{head}\r\n".encode() + content


def submit() -> dict[str, object]:
    """What a client submits."""
    return {"task_type": workload.PARCEL, "payload": PAYLOAD}


def single(to: Served) -> tuple[bytes]:
    """One submit."""
    return (request("POST", "/tasks", submit(), to.key),)


# the server, in a process of its own


async def serve(*, openly: bool) -> None:
    """Serve the engine of `TIDEMILL_URL` until the parent closes the pipe."""
    listening = listen("127.0.0.1", 0)
    app = workload.app
    key = (await app.keys.create("benchmark", FULL)).text
    jwt = Jwt(secret=secrets.token_hex(32))
    token = Tokens(jwt).make("benchmark", FULL)
    api = create_api(app, trusted) if openly else create_api(app, jwt=jwt)
    told = [url_of(listening).rpartition(":")[2], *(() if openly else (key, token))]
    async with serving(api, listening, end=lambda: None):
        print(*told, flush=True)
        await asyncio.to_thread(sys.stdin.read)


@contextlib.contextmanager
def process(
    command: Sequence[str], variables: Mapping[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    """A program in another process, which ends when its standard input is closed."""
    pipe, env = subprocess.PIPE, os.environ | variables
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, env=env) as started:
        try:
            yield started
        finally:
            assert started.stdin
            started.stdin.close()
            started.wait(30)


@contextlib.contextmanager
def server(command: Sequence[str], variables: Mapping[str, str]) -> Iterator[Served]:
    """Where a program of its own serves."""
    with process(command, variables) as started:
        assert started.stdout
        port, *credentials = started.stdout.readline().decode().split()
        yield Served(int(port), *credentials)


def ours(url: str, how: str = "serve") -> contextlib.AbstractContextManager[Served]:
    """Tidemill's API on a store; `serve-openly` asks nobody for a key."""
    return server([*MYSELF, how], {"TIDEMILL_URL": url})


def theirs(url: str) -> contextlib.AbstractContextManager[Served]:
    """FastAPI before Celery on a store, in the environment of the peers."""
    found = prepared("bench")
    python = str(Path(found["PATH"].partition(os.pathsep)[0]) / "python")
    variables = {"STORE_URL": url, "PYTHONPATH": str(HERE)}
    return server([python, "-m", "peers.fastapi_celery"], found | variables)


def loaded(wanted: Load) -> Answered:
    """What the clients saw."""
    with process([*MYSELF, "load"], {}) as clients:
        told, _ = clients.communicate(msgspec.json.encode(wanted))
        return msgspec.json.decode(told, type=Answered)


# what is measured


class Site(msgspec.Struct, frozen=True):
    """A store with tasks of known ids, how long each part lasts, and our server."""

    url: str
    ids: Sequence[str]
    seconds: float
    at: Served


def submits(on: Site) -> list[Figure]:
    """Tasks one by one, each by one request."""
    one = loaded(Load(on.at.port, single(on.at), CLIENTS, on.seconds))
    return [
        _rate(f"submits, {CLIENTS} at once", one, 1, 1_500),
        *percentiles("a submit among them", _milliseconds(one), "ms"),
    ]


def bulks(on: Site) -> list[Figure]:
    """Tasks in bulk."""
    bulk = request("POST", "/tasks/bulk", {"tasks": [submit()] * BULK}, on.at.key)
    many = loaded(Load(on.at.port, (bulk,), BULK_CLIENTS, on.seconds))
    return [_rate(f"tasks submitted in bulks of {BULK}", many, BULK, 20_000)]


def reads(on: Site) -> list[Figure]:
    """One task each, at a rate that leaves the server idle in between."""
    wanted = tuple(request("GET", f"/tasks/{each}", key=on.at.key) for each in on.ids)
    looked = loaded(Load(on.at.port, wanted, 8, on.seconds * 2, rate=100))
    return percentiles("GET task at 100/s", _milliseconds(looked), "ms", p99=10)


def peer(on: Site) -> list[Figure]:
    """The same submit to both, by turns; the ratio is the median over the rounds."""
    name = f"FastAPI {pinned('fastapi', 'bench')} and Celery {pinned('celery', 'bench')}"
    if on.url.startswith("sqlite"):
        return [Figure(f"submits, {name}", None, "/s", detail="Celery has no broker of that kind")]
    with theirs(on.url) as at:
        one, other = _by_turns(on, on.at, at)
    lead = median(_value(our) / _value(their) for our, their in zip(one, other, strict=True))
    return [
        _of_rounds("submits by turns with a peer, Tidemill", one),
        _of_rounds(f"submits by turns with a peer, {name}", other),
        Figure(f"Tidemill to {name}, submits", lead, "×"),
    ]


def gate(on: Site) -> list[Figure]:
    """The same submit with a key, with a token, and to a server that asks nobody for either."""
    with_token = msgspec.structs.replace(on.at, key=on.at.token)
    with ours(on.url, "serve-openly") as at:
        without, *asked = _by_turns(on, at, on.at, with_token, rounds=GATE_ROUNDS)
    figures = [_of_rounds("submits by turns, without a gate that asks", without)]
    for credentials, found in zip(("an API key", "a token (JWT)"), asked, strict=True):
        shares = [_value(one) / _value(other) for one, other in zip(found, without, strict=True)]
        name = f"of the submits without credentials, with {credentials}"
        figures += [
            _of_rounds(f"submits by turns, with {credentials}", found),
            Figure(name, 100 * median(shares), "%", 90, detail=f"median of {GATE_ROUNDS} rounds"),
        ]
    return figures


def _by_turns(on: Site, *servers: Served, rounds: int = ROUNDS) -> tuple[list[Figure], ...]:
    """The rates of submits to servers, round by round."""
    found: tuple[list[Figure], ...] = tuple([] for _ in servers)
    for at in servers:
        loaded(Load(at.port, single(at), 4, 0.5))
    for _ in range(rounds):
        for figures, at in zip(found, servers, strict=True):
            answered = loaded(Load(at.port, single(at), CLIENTS, on.seconds))
            figures.append(_rate("", answered, 1))
    return found


PARTS: dict[str, Callable[[Site], list[Figure]]] = {
    "submits": submits,
    "bulks": bulks,
    "reads": reads,
    "peer": peer,
    "gate": gate,
}


def measure(kind: str, seconds: float, ballast: int, parts: Sequence[str]) -> list[Figure]:
    """The figures on one kind of store."""
    with store(kind) as url:
        ids = asyncio.run(_filled(url, ballast))
        with ours(url) as at:
            loaded(Load(at.port, single(at), 4, 0.5))
            on = Site(url, ids, seconds, at)
            return [figure for each in parts for figure in PARTS[each](on)]


async def _filled(url: str, ballast: int) -> Sequence[str]:
    """Put finished tasks there; answers ids of some."""
    async with opened(url) as engine:
        await fill(engine, "finished", ballast)
        await calm(engine)
        page = await engine.find(TaskQuery(limit=500))
        return [task.id for task in page.tasks]


def _rate(name: str, answered: Answered, size: int, budget: float | None = None) -> Figure:
    detail = f"wrong answers: {answered.wrong}" if answered.wrong else ""
    count = len(answered.latencies) - sum(answered.wrong.values())
    return Figure(name, count * size / answered.seconds, "/s", budget, detail=detail)


def _of_rounds(name: str, rounds: Sequence[Figure]) -> Figure:
    """The median of a rate, with that of each round."""
    told = [f"{_value(each):,.0f}" for each in rounds]
    wrong = [each.detail for each in rounds if each.detail]
    return Figure(name, median(map(_value, rounds)), "/s", detail=", ".join(told + wrong))


def _value(figure: Figure) -> float:
    assert figure.value is not None
    return figure.value


def _milliseconds(answered: Answered) -> list[float]:
    return [each * 1e3 for each in answered.latencies]


def main() -> None:
    """Play the part that the first word names: the server, the clients, or the one who measures."""
    if sys.argv[1:2] == ["load"]:
        wanted = msgspec.json.decode(sys.stdin.buffer.read(), type=Load)
        sys.stdout.buffer.write(msgspec.json.encode(uvloop.run(load(wanted))))
        return
    if sys.argv[1:2] in (["serve"], ["serve-openly"]):
        uvloop.run(serve(openly=sys.argv[1] == "serve-openly"))
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", choices=KINDS, default="valkey")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--ballast", type=int, default=1_000)
    parser.add_argument("--only", default=",".join(PARTS), help=f"of {','.join(PARTS)}")
    said = parser.parse_args()
    on = machine(said.engine)
    figures = measure(said.engine, said.seconds, said.ballast, said.only.split(","))
    print(markdown(figures, on))


if __name__ == "__main__":
    main()
