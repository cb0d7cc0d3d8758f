import pytest

from tests.servers.client import packed
from tests.servers.resp import Messages, message_end

MESSAGES = {
    "request": packed("SET", "key", "a\r\nvalue"),
    "status": b"+OK\r\n",
    "error": b"-ERR no\r\n",
    "number": b":12\r\n",
    "text": b"$4\r\na\r\nb\r\n",
    "empty text": b"$0\r\n\r\n",
    "no text": b"$-1\r\n",
    "array": b"*3\r\n:1\r\n*2\r\n$1\r\na\r\n$-1\r\n+OK\r\n",
    "empty array": b"*0\r\n",
    "no array": b"*-1\r\n",
    "map": b"%1\r\n$1\r\na\r\n*1\r\n:1\r\n",
    "set": b"~2\r\n:1\r\n:2\r\n",
    "push": b">2\r\n$7\r\nmessage\r\n$1\r\na\r\n",
    "attributes": b"|1\r\n+ttl\r\n:3\r\n$1\r\na\r\n",
    "null": b"_\r\n",
    "double": b",1.5\r\n",
    "boolean": b"#t\r\n",
    "big number": b"(123\r\n",
    "verbatim": b"=5\r\ntxt:a\r\n",
    "long error": b"!6\r\nERR no\r\n",
    "inline": b"PING\r\n",
}


@pytest.mark.parametrize("message", MESSAGES.values(), ids=MESSAGES)
def test_a_message_ends_with_its_last_byte_and_not_before(message: bytes) -> None:
    assert message_end(message, 0) == len(message)
    assert {message_end(message[:size], 0) for size in range(len(message))} == {None}


@pytest.mark.parametrize("size", [1, 2, 3, 7, 50, 1000])
def test_messages_are_whole_however_their_bytes_arrive(size: int) -> None:
    data = b"".join(MESSAGES.values())
    messages = Messages()
    parts = [data[start : start + size] for start in range(0, len(data), size)]
    assert [one for part in parts for one in messages.feed(part)] == [*MESSAGES.values()]
    assert messages.rest == b""


def test_what_is_not_a_whole_message_stays() -> None:
    messages = Messages()
    assert list(messages.feed(b"+OK\r\n$4\r\nab")) == [b"+OK\r\n"]
    assert messages.rest == b"$4\r\nab"
