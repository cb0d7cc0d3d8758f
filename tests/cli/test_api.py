"""The HTTP interface as the command line serves it."""

import re
import socket
import subprocess

import httpx
import msgspec
import pytest

from tests.cli.conftest import APP, Shop
from tests.docs.pages import ROOT

JSON = ("-o", "json")
AT = re.compile(r"the HTTP interface is at (?P<url>http://\S+)/api/v1")


def key_of(shop: Shop) -> dict[str, str]:
    """The header of a new key of the shop's engine."""
    made = shop.call("key", "create", "tests", "--scope", "admin", "--scope", "payloads", *JSON)
    return {"Authorization": f"Bearer {made.json['key']}"}


def started(shop: Shop, *words: str) -> tuple["subprocess.Popen[str]", str]:
    process = shop.start("api", "--port", "0", *words, until=None)
    return process, _url(shop.hear(process, "the HTTP interface is at"))


def _url(said: str) -> str:
    found = AT.search(said)
    assert found, said
    return found["url"]


def test_the_interface_is_served_until_it_is_told_to_stop(shop: Shop) -> None:
    key = key_of(shop)
    process = shop.start("api", "--port", "0", "-A", APP, until=None)
    told = shop.hear(process, "the HTTP interface is at")
    url = _url(told)
    body = {"task_type": "add", "payload": {"a": 1}}
    made = httpx.post(f"{url}/api/v1/tasks", json=body, headers=key)
    assert made.status_code == 201, made.text
    task_id = made.json()["task_id"]
    assert shop.call("task", "show", task_id, "-o", "json").json["state"] == "pending"
    with httpx.stream("GET", f"{url}/api/v1/tasks/{task_id}/events", headers=key) as stream:
        assert next(stream.iter_lines()) == "retry: 2000"
        said = shop.stop(process)  # although a stream is open
    assert (said.code, said.out) == (0, "")
    assert "durability standard" in told + said.err


def test_without_an_application_it_reads_an_engine(shop: Shop) -> None:
    (task_id,) = shop.enqueue(shop.new(task_type="gone"))
    process, url = started(shop, "--engine", shop.url)
    found = httpx.get(f"{url}/api/v1/tasks/{task_id}", headers=key_of(shop))
    assert found.json()["task_type"] == "gone"
    assert shop.stop(process).code == 0


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "example.org", "192.0.2.1"])
def test_it_listens_on_the_loopback_only_as_long_as_nobody_has_credentials(
    shop: Shop, host: str
) -> None:
    said = shop.program("api", "-A", APP, "--host", host)
    assert (said.code, said.out) == (2, "")
    assert "there are no credentials: make an API key (tidemill key create)" in said.err
    assert said.err.count("\n") == 1


def test_a_port_that_is_taken_is_told(shop: Shop) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        for words in (["api", "-A", APP, "--port", port], ["up", "-A", APP, "--port", port]):
            said = shop.program(*words)
            assert said.code == 2
            assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in said.err


def test_what_a_proxy_strips_stands_in_the_addresses_of_answers(shop: Shop) -> None:
    key = key_of(shop)
    process, url = started(shop, "-A", APP, "--root-path", "/mill")
    body = {"task_type": "add", "payload": {"a": 1}}
    made = httpx.post(f"{url}/api/v1/tasks", json=body, headers=key)
    assert made.headers["location"].startswith("/mill/api/v1/tasks/")
    document = httpx.get(f"{url}/api/v1/openapi.json", headers=key)
    assert document.json()["servers"] == [{"url": "/mill"}]
    assert shop.stop(process).code == 0


def test_the_file_says_where_it_listens(shop: Shop) -> None:
    (shop.folder / "tidemill.yaml").write_text(
        "app: shop:app\nserver: {host: localhost, port: 0, root_path: /x}\n", "utf-8"
    )
    key = key_of(shop)
    process = shop.start("api", "-o", "jsonl", until=None)
    told = msgspec.json.decode(shop.hear(process, "ApiStarted"))
    document = httpx.get(f"{told['url']}/api/v1/openapi.json", headers=key)
    assert document.json()["servers"] == [{"url": "/x"}]
    assert shop.stop(process).code == 0


def test_up_serves_it_beside_the_worker(shop: Shop) -> None:
    key = key_of(shop)
    process = shop.start("up", "-A", APP, "--port", "0", until=None)
    url = _url(shop.hear(process, "is ready"))
    made = httpx.post(
        f"{url}/api/v1/tasks",
        json={"task_type": "add", "payload": {"a": 1}},
        headers={"Prefer": "wait=30"} | key,
        timeout=60,
    )
    assert made.json()["result"] == 2, made.text
    assert shop.stop(process).code == 0


def test_up_takes_another_port_where_the_usual_one_is_taken(shop: Shop) -> None:
    first = shop.start("up", "-A", APP, until=None)
    second = shop.start("up", "-A", APP, until=None)
    urls = {_url(shop.hear(process, "is ready")) for process in (first, second)}
    assert len(urls) == 2
    assert [shop.stop(process).code for process in (first, second)] == [0, 0]


def test_up_goes_without_it_when_asked_to(shop: Shop) -> None:
    process = shop.start("up", "-A", APP, "--no-api", until=None)
    assert "HTTP" not in shop.hear(process, "is ready")
    assert shop.stop(process).code == 0


def test_the_document_is_printed_or_written(shop: Shop) -> None:
    printed = shop.program("openapi")
    assert printed.json["openapi"] == "3.1.0"
    assert "/api/v1/tasks/{task_id}/events" in printed.json["paths"]
    assert shop.program("openapi", "openapi.json").out == ""
    assert (shop.folder / "openapi.json").read_text("utf-8") == printed.out


def test_the_document_in_the_repository_is_up_to_date(shop: Shop) -> None:
    """If not: `tidemill openapi docs/openapi.json`."""
    assert (ROOT / "docs/openapi.json").read_text("utf-8") == shop.program("openapi").out
