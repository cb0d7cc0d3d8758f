"""Flask by `delay` and blocking handles: on threads, and in forked children."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.integrations.conftest import Site, eventually
from tests.servers.ports import Port

pytest.importorskip("flask")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with ExitStack() as stack:
        site = Site("flask_site", tmp_path, stack)
        site.start("-m", "tidemill", "-A", "counter:mill", "worker", until_told="is ready")
        yield site


def total(client: httpx.Client, begun: Any) -> Any:
    """The result of a sum that was begun."""
    return eventually(
        lambda: client.get(f"/sums/{begun['id']}").json(),
        lambda answer: answer["state"] == "completed",
    )["result"]


def test_requests_on_many_threads_enqueue_and_read(site: Site) -> None:
    client = site.serve("-m", "flask", "--app", "counter", "run", "--port", "PORT")
    with ThreadPoolExecutor(8) as threads:
        begun = list(threads.map(lambda n: client.post(f"/sums/{n}/100").json(), range(40)))
        totals = list(threads.map(lambda each: total(client, each), begun))
    assert totals == [100 + n for n in range(40)]
    assert client.get("/sums/nonsense").status_code == 404


def test_forked_children_enqueue_and_read_though_their_parent_did_before(site: Site) -> None:
    other = Port.free()
    client = site.serve("prefork.py", "PORT", str(other.number))
    sibling = httpx.Client(base_url=f"http://127.0.0.1:{other.number}", trust_env=False)
    try:
        begun = [each.post("/sums/2/3").json() for each in (client, sibling, client, sibling)]
        assert len({each["pid"] for each in begun}) == 2
        assert [total(client, each) for each in begun] == [5, 5, 5, 5]
        first = {"id": site.programs[-1].log.read_text().splitlines()[0]}
        assert total(sibling, first) == 2
    finally:
        sibling.close()
        other.close()
        site.programs[-1].stop()
