"""What nobody should send: every answer is a refusal with its reason, or the plain answer."""

import asyncio

import pytest

from tests.api.conftest import OpenSite, Site

LONG = "x" * 20_000
BODIES: dict[str, bytes] = {
    "deep lists": b"[" * 50_000,
    "deep closed lists": b"[" * 30_000 + b"]" * 30_000,
    "a deep payload": b'{"task_type":"echo","payload":{"value":' + b"[" * 900 + b"]" * 900 + b"}}",
    "a deeper payload": b'{"task_type":"echo","payload":{"value":'
    + b'{"a":' * 20_000
    + b"1"
    + b"}" * 20_000
    + b"}}",
    "a huge number": b'{"task_type":"echo","payload":{"value":1e400}}',
    "a huge negative number": b'{"task_type":"echo","payload":{"value":-1e400}}',
    "many digits": b'{"task_type":"echo","payload":{"value":' + b"9" * 5_000 + b"}}",
    "many digits after the point": b'{"task_type":"echo","payload":{"value":0.'
    + b"9" * 5_000
    + b"}}",
    "a huge priority": b'{"task_type":"echo","priority":' + b"9" * 400 + b"}",
    "a huge delay": b'{"task_type":"echo","delay":1e308}',
    "a delay of a century": b'{"task_type":"echo","delay":3162240000}',
    "a tiny timeout": b'{"task_type":"echo","timeout":1e-300}',
    "NaN": b'{"task_type":"echo","payload":{"value":NaN}}',
    "Infinity": b'{"task_type":"echo","payload":{"value":-Infinity}}',
    "NUL in a text": b'{"task_type":"echo","payload":{"value":"a\\u0000b"}}',
    "NUL in a name": b'{"task_type":"echo\\u0000"}',
    "NUL in a label": b'{"task_type":"echo","user_id":"\\u0000"}',
    "a bare NUL": b'{"task_type":"echo","user_id":"\x00"}',
    "a lone surrogate": b'{"task_type":"echo","payload":{"value":"\\ud800"}}',
    "a lone low surrogate": b'{"task_type":"echo","payload":{"\\udc00":1}}',
    "a surrogate in a label": b'{"task_type":"echo","user_id":"\\ud83c"}',
    "a pair of surrogates": b'{"task_type":"echo","payload":{"value":"\\ud83c\\udf0a"}}',
    "invalid UTF-8": b'{"task_type":"echo","payload":{"value":"\xff\xfe"}}',
    "an overlong slash": b'{"task_type":"echo","payload":{"value":"\xc0\xaf"}}',
    "UTF-16": '{"task_type":"echo"}'.encode("utf-16"),
    "a byte order mark": b'\xef\xbb\xbf{"task_type":"echo"}',
    "a field twice": b'{"task_type":"echo","task_type":"alone","payload":{},"payload":{}}',
    "a prototype": b'{"task_type":"echo","__proto__":{"x":1},"constructor":1}',
    "a prototype in the payload": b'{"task_type":"echo","payload":{"value":{"__proto__":{"x":1}}}}',
    "names of Python": b'{"task_type":"echo","payload":{"self":1,"__class__":2,"args":[]}}',
    "gadgets": b'{"task_type":"echo","payload":{"value":{"py/object":"os.system","py/reduce":[]}}}',
    "no object": b'"echo"',
    "null": b"null",
    "a number": b"7",
    "nothing but spaces": b"   ",
    "something after it": b'{"task_type":"echo"} {}',
    "a comment": b'{"task_type":"echo"/**/}',
    "a long name": b'{"task_type":"' + LONG.encode() + b'"}',
    "a long field": b'{"' + LONG.encode() + b'":1}',
    "many fields": b"{" + b",".join(b'"f%d":1' % n for n in range(5_000)) + b"}",
    "a template": b'{"task_type":"echo","unique_key":"{0.__class__}{x!r:>99999999}"}',
    "a far instant": b'{"task_type":"echo","run_at":"9999-12-31T23:59:59-23:59"}',
    "an early instant": b'{"task_type":"echo","expires_at":"0001-01-01T00:00:00+23:59"}',
}
PATHS = [
    f"/api/v1/tasks/{LONG}",
    "/api/v1/tasks/%ff%fe",
    "/api/v1/tasks/%00",
    "/api/v1/tasks/%ed%a0%80",
    "/api/v1/tasks/urn:uuid:0199e0a4-5b7c-7d3e-9f21-4c8e2a6b8d10",
    "/api/v1/tasks/..%2f..%2fetc%2fpasswd",
    "/api/v1/tasks/../../../etc/passwd",
    "/api/v1/queues/%00/stats",
    f"/api/v1/queues/{LONG[:9_000]}",
    "/api/v1/queues/%7B%7D",
    "/api/v1/queues/%E2%80%AE",
    "/api/v1/scheduled-tasks/%ff",
    "/api/v1/scheduled-tasks/a%00b/history",
    "/api/v1/workflows/%00",
    "/api/v1/tasks?cursor=" + "A" * 9_000,
    "/api/v1/tasks?cursor=%ff%fe%00",
    "/api/v1/tasks?user_id=%00",
    "/api/v1/tasks?user_id=%ed%a0%80",
    "/api/v1/tasks?user_id=%ff",
    "/api/v1/tasks?error_contains=" + "%25" * 200,
    "/api/v1/tasks?error_contains=%ff%fe",
    "/api/v1/tasks?tag=" + "&tag=a" * 500,
    "/api/v1/tasks?status=" + "&status=failed" * 500,
    "/api/v1/tasks?page=1e9",
    "/api/v1/tasks?page=-1",
    "/api/v1/tasks?page=%D9%A3",
    "/api/v1/tasks?page=NaN",
    "/api/v1/tasks?page_size=" + "9" * 5_000,
    "/api/v1/tasks?start_time=0001-01-01T00:00:00%2B14:00",
    "/api/v1/tasks?start_time=9999-12-31T23:59:59-14:00",
    "/api/v1/tasks?start_time=1e400",
    "/api/v1/tasks?start_time=99999999999999999",
    "/api/v1/tasks?start_time=nan",
    "/api/v1/tasks?&&&==&=",
    "/api/v1/tasks?%00=%00",
    "/api/v1/tasks/statistics?start_time=2199-01-01T00:00:00Z&end_time=1970-01-01T00:00:00Z",
    "/api/v1/tasks/statistics?start_time=1970-01-01T00:00:00Z&end_time=2199-12-31T00:00:00Z",
    "/api/v1/tasks/statistics/over-time?start_time=1970-01-01T00:00:00Z&points=1500",
    "/api/v1/tasks/statistics/over-time?resolution=minute&start_time=1970-01-01T00:00:00Z",
    "/api/v1/failed-groups?queue_name=%00",
    "//api/v1/tasks",
    "/api/v1//tasks",
    "/api/v1/tasks/",
    "/api/v1/tasks;a=b",
]
HEADERS = [
    ("Idempotency-Key", ""),
    ("Idempotency-Key", "\xff\xfe\x80"),
    ("Idempotency-Key", "k" * 7_000),
    ("Prefer", "wait=-1"),
    ("Prefer", "wait=" + "9" * 5_000),
    ("Prefer", "wait=0;" * 900),
    ("Prefer", "wait=\xb2"),
    ("If-None-Match", '"' * 7_000),
    ("If-None-Match", "\xff,,,,W/,"),
    ("Content-Type", "application/json; charset=" + "x" * 7_000),
    ("Content-Type", "\xff/\xfe"),
    ("Content-Encoding", "gzip"),
    ("Accept", "text/html;q=abc"),
    ("Host", "a b"),
    ("Cookie", "=;=;\xff=\xff"),
    ("X-Forwarded-For", "' OR 1=1 --"),
]
ROUTES = ["/tasks", "/tasks/bulk", "/queues", "/scheduled-tasks", "/failed-groups/x/retry"]


async def test_no_body_makes_the_server_fail(site: OpenSite) -> None:
    async with site() as here:
        for name, body in BODIES.items():
            for path in ROUTES:
                for content in (body, b'{"tasks":[' + body + b"]}"):
                    answer = await here.client.post(
                        f"/api/v1{path}",
                        content=content,
                        headers={"Content-Type": "application/json"},
                    )
                    assert answer.status_code < 500, (path, name, answer.text)
        await _still_well(here)


async def test_what_was_accepted_of_it_is_read_again(site: OpenSite) -> None:
    async with site() as here:
        for name, body in BODIES.items():
            answer = await here.client.post(
                "/api/v1/tasks", content=body, headers={"Content-Type": "application/json"}
            )
            if answer.status_code == 201:
                path = f"/tasks/{answer.json()['task_id']}"
                read = await here.ask("GET", path, 200)
                assert read == answer.json(), name
                await here.ask("GET", f"{path}?big_integers=string", 200)
        listed = await here.ask("GET", "/tasks?page_size=100", 200)
        assert listed["total"] == len(listed["tasks"]) > 0
        async with here.working():
            for task in listed["tasks"]:
                await here.ask(
                    "GET", f"/tasks/{task['task_id']}", 200, headers={"Prefer": "wait=0"}
                )


async def test_no_address_makes_the_server_fail(site: OpenSite) -> None:
    async with site() as here:
        for path in PATHS:
            for method in ("GET", "DELETE", "POST", "PUT", "PATCH", "HEAD", "OPTIONS", "TRACE"):
                status = await _raw(here, f"{method} {path} HTTP/1.1\r\nHost: x\r\n".encode())
                assert status is None or status < 500, (method, path)
        await _still_well(here)


async def test_no_header_makes_the_server_fail(site: OpenSite) -> None:
    body = b'{"task_type":"echo"}'
    async with site() as here:
        task = await here.submit("echo")
        for name, value in HEADERS:
            for start in ("POST /api/v1/tasks", f"GET /api/v1/tasks/{task['task_id']}"):
                kind = "" if name == "Content-Type" else "Content-Type: application/json\r\n"
                head = f"{start} HTTP/1.1\r\n{kind}{name}: {value}\r\n".encode("latin-1")
                length = b"Content-Length: %d\r\n" % len(body)
                status = await _raw(here, head + length, body)
                assert status is None or status < 500, (start, name, value)
        await _still_well(here)


@pytest.mark.parametrize("cut", [1, 20, 60, 100])
async def test_a_client_that_goes_away_is_missed_by_nobody(site: OpenSite, cut: int) -> None:
    body = b'{"task_type":"echo"}'
    head = b"POST /api/v1/tasks HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    async with site() as here:
        head += _key(here)
        whole = head + b"Content-Length: %d\r\n\r\n" % len(body) + body
        for _ in range(20):
            _, writer = await asyncio.open_connection("127.0.0.1", _port(here))
            writer.write(whole[:cut])
            await writer.drain()
            writer.close()
        await _still_well(here)


async def _raw(here: Site, head: bytes, body: bytes = b"") -> int | None:
    """The status of an answer to these bytes; None where the connection was closed instead."""
    reader, writer = await asyncio.open_connection("127.0.0.1", _port(here))
    try:
        writer.write(head + _key(here) + b"Connection: close\r\n\r\n" + body)
        line = await asyncio.wait_for(reader.readline(), 30)
        return int(line.split()[1]) if line else None
    except ConnectionError:
        return None
    finally:
        writer.close()


def _key(here: Site) -> bytes:
    return f"Authorization: {here.client.headers['authorization']}\r\n".encode()


def _port(here: Site) -> int:
    return int(here.url.rpartition(":")[2])


async def _still_well(here: Site) -> None:
    task = await here.submit("echo", payload={"value": 1})
    assert (await here.ask("GET", f"/tasks/{task['task_id']}", 200))["payload"] == {"value": 1}
