"""How often an answer that lasts is asked for its proof, in virtual time."""

from typing import Any

import pytest

from tidemill.api.gate.lasting import PROOF_LASTS, Message, Withdrawn, while_good

STREAM = b"text/event-stream; charset=utf-8"


class Caller:
    """What a client was sent, and whether it is still welcome."""

    def __init__(self, media_type: bytes = STREAM) -> None:
        self.sent: list[Message] = []
        self.welcome = True
        self.asked = 0
        self.at = 100.0
        self._send = while_good(self._receive, self._good, lambda: self.at)
        self._media_type = media_type

    async def begin(self) -> None:
        headers = [(b"content-type", self._media_type)]
        await self._send({"type": "http.response.start", "status": 200, "headers": headers})

    async def frame(self, body: bytes = b"x", **said: Any) -> None:
        await self._send({"type": "http.response.body", "body": body, "more_body": True, **said})

    async def _receive(self, message: Message) -> None:
        self.sent.append(message)

    async def _good(self) -> bool:
        self.asked += 1
        return self.welcome


async def test_a_stream_is_asked_for_its_proof_before_a_frame_every_five_seconds() -> None:
    caller = Caller()
    await caller.begin()
    for passed in (1.0, 3.9, 0.1, 4.9, 0.1, 60.0):
        caller.at += passed
        await caller.frame()
    assert PROOF_LASTS == 5.0
    assert (caller.asked, len(caller.sent)) == (3, 7)


async def test_a_stream_whose_proof_is_gone_is_ended_before_the_next_frame() -> None:
    caller = Caller()
    await caller.begin()
    caller.welcome = False
    await caller.frame(b"within five seconds")
    caller.at += PROOF_LASTS
    with pytest.raises(Withdrawn):
        await caller.frame(b"secret")
    assert [each.get("body") for each in caller.sent] == [None, b"within five seconds", b""]
    assert not caller.sent[-1]["more_body"]


async def test_other_answers_are_written_whole() -> None:
    caller = Caller(b"application/json")
    await caller.begin()
    caller.welcome = False
    caller.at += 3600
    await caller.frame(b"a long ")
    await caller.frame(b"answer", more_body=False)
    assert (caller.asked, len(caller.sent)) == (0, 3)
