"""The simulator speaks OpenAI's API as OpenAI's own client understands it, faults included."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import openai
import pytest

from apps.tests.services.text.conftest import Break
from tidemill_apps.services.embedder import SentenceEncoder
from tidemill_apps.services.llmsim.__main__ import script
from tidemill_apps.services.llmsim.faults import Fault, Faults
from tidemill_apps.services.llmsim.wire import CHAT_MODEL

TEXT = "The tide is high today. The mill is running at full speed. 水车正在全速运转。"


@pytest.fixture
def client(base_url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=base_url, api_key="any", max_retries=0) as opened:
        yield opened


def chat(client: openai.OpenAI) -> str:
    answer = client.chat.completions.create(
        model=CHAT_MODEL, messages=[{"role": "user", "content": TEXT}]
    )
    return answer.choices[0].message.content or ""


def stream(client: openai.OpenAI) -> Iterator[str]:
    events = client.chat.completions.create(
        model=CHAT_MODEL,
        messages=[{"role": "user", "content": [{"type": "text", "text": TEXT}]}],
        stream=True,
        stream_options={"include_usage": True},
    )
    for event in events:
        if event.choices:
            yield event.choices[0].delta.content or ""
        else:
            assert event.usage is not None
            assert event.usage.completion_tokens > 0


def test_a_chat_is_answered_and_counted(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model=CHAT_MODEL,
        messages=[{"role": "system", "content": "Be brief."}, {"role": "user", "content": TEXT}],
        temperature=0.3,
        response_format={"type": "json_object"},
    )
    assert answer.object == "chat.completion"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.choices[0].message.content
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


def test_the_same_request_has_the_same_answer_whole_and_streamed(client: openai.OpenAI) -> None:
    pieces = list(stream(client))
    assert len(pieces) > 3
    assert "".join(pieces) == chat(client) == chat(client)


def test_texts_are_embedded_in_both_encodings(
    client: openai.OpenAI, encoder: SentenceEncoder
) -> None:
    texts = ["the tide", "水车"]
    expected = encoder.embed(texts)
    packed = client.embeddings.create(model=encoder.model_id, input=texts)
    plain = client.embeddings.create(
        model=encoder.model_id, input=texts, encoding_format="float", dimensions=512
    )
    for answer in (packed, plain):
        assert np.allclose([row.embedding for row in answer.data], expected, atol=1e-6)
    single = client.embeddings.create(model=encoder.model_id, input="the tide")
    assert np.allclose(single.data[0].embedding, expected[0], atol=1e-5)


def test_models_are_listed_and_found(client: openai.OpenAI, encoder: SentenceEncoder) -> None:
    assert [model.id for model in client.models.list()] == [CHAT_MODEL, encoder.model_id]
    assert client.models.retrieve(CHAT_MODEL).owned_by == "llmsim"
    with pytest.raises(openai.NotFoundError) as raised:
        client.models.retrieve("gpt-0")
    assert raised.value.code == "model_not_found"


def test_requests_that_make_no_sense_are_refused_as_openai_does(
    client: openai.OpenAI, encoder: SentenceEncoder
) -> None:
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(model="gpt-0", messages=[])
    with pytest.raises(openai.BadRequestError):
        client.embeddings.create(model=encoder.model_id, input=[""])
    with pytest.raises(openai.BadRequestError):
        client.embeddings.create(model=encoder.model_id, input="tide", dimensions=3)
    with pytest.raises(openai.BadRequestError) as raised:
        client.post("/chat/completions", body={"model": CHAT_MODEL}, cast_to=object)
    assert "messages" in raised.value.message


def test_a_full_server_says_when_and_is_asked_again(base_url: str, break_next: Break) -> None:
    fault = Fault("status", status=429, code="rate_limit_exceeded", retry_after=0.05)
    break_next(fault, fault)
    with openai.OpenAI(base_url=base_url, api_key="any", max_retries=0) as client:
        with pytest.raises(openai.RateLimitError) as raised:
            chat(client)
        assert raised.value.code == "rate_limit_exceeded"
        assert raised.value.response.headers["retry-after"] == "0.05"
        assert chat(client.with_options(max_retries=1))


def test_a_broken_server_is_told_as_one(client: openai.OpenAI, break_next: Break) -> None:
    break_next(Fault("status", route="models"), Fault("status", status=503, route="chat"))
    with pytest.raises(openai.InternalServerError) as raised:
        chat(client)
    assert raised.value.status_code == 503
    with pytest.raises(openai.InternalServerError):
        client.models.list()
    assert chat(client)


def test_a_slow_server_runs_into_the_timeout(client: openai.OpenAI, break_next: Break) -> None:
    break_next(Fault("slow", seconds=1))
    with pytest.raises(openai.APITimeoutError):
        chat(client.with_options(timeout=0.2))


def test_answers_break_off_in_the_middle(client: openai.OpenAI, break_next: Break) -> None:
    break_next(Fault("cut", times=2))
    with pytest.raises(Exception, match=r"(?i)incomplete|peer closed|connection"):
        list(stream(client))
    with pytest.raises(openai.APIConnectionError):
        chat(client)
    whole = "".join(stream(client))
    assert whole == chat(client)


def test_a_stream_that_is_cut_has_begun(base_url: str, break_next: Break) -> None:
    break_next(Fault("cut"))
    body = {"model": CHAT_MODEL, "stream": True, "messages": [{"role": "user", "content": TEXT}]}
    with httpx.stream("POST", f"{base_url}/chat/completions", json=body) as response:
        lines = lines_until_cut(response)
    assert len(lines) > 2
    assert "data: [DONE]" not in lines


def lines_until_cut(response: httpx.Response) -> list[str]:
    lines: list[str] = []
    try:
        for line in response.iter_lines():
            lines.append(line)  # noqa: PERF402  what came before the cut is wanted
    except httpx.RemoteProtocolError:
        return [line for line in lines if line]
    raise AssertionError("the answer was not cut")


def test_a_model_says_no_json_and_another_sends_short_vectors(
    client: openai.OpenAI, break_next: Break, encoder: SentenceEncoder
) -> None:
    break_next(Fault("wrong_dimension"), Fault("invalid_json"))
    assert '{"summary": ["' in chat(client)
    answer = client.embeddings.create(model=encoder.model_id, input="tide")
    assert len(answer.data[0].embedding) == encoder.dim - 1


def test_faults_are_listed_counted_down_and_cleared(
    base_url: str, break_next: Break, control: httpx.Client
) -> None:
    break_next(Fault("slow", seconds=0, times=2), Fault("cut", times=None))
    httpx.get(f"{base_url}/models").raise_for_status()
    ahead = control.get("/faults").json()
    assert [(fault["kind"], fault["times"]) for fault in ahead] == [("slow", 1), ("cut", None)]
    control.delete("/faults").raise_for_status()
    assert control.get("/faults").json() == []


def test_a_fault_that_is_none_is_refused(control: httpx.Client) -> None:
    answer = control.post("/faults", json=[{"kind": "earthquake"}])
    assert answer.status_code == 400
    assert "earthquake" in answer.text


def test_a_fault_waits_for_a_request_that_it_concerns() -> None:
    faults = Faults([Fault("invalid_json"), Fault("status", route="models")])
    assert faults.take("embeddings") is None
    taken = faults.take("models")
    assert taken is not None
    assert taken.kind == "status"
    assert [fault.kind for fault in faults.ahead] == ["invalid_json"]


def test_a_script_is_json_or_a_file_of_it(tmp_path: Path) -> None:
    file = tmp_path / "faults.json"
    file.write_text('[{"kind": "cut", "times": 2}]', "utf-8")
    assert script(str(file)) == script(file.read_text("utf-8")) == [Fault("cut", times=2)]


def test_the_program_serves_until_it_is_ended() -> None:
    program = [sys.executable, "-m", "tidemill_apps.services.llmsim", "--port", "0"]
    faults = ["--faults", '[{"kind": "status", "status": 503}]', "--api-key", "right"]
    with subprocess.Popen([*program, *faults], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            match = re.search(r"http://127\.0\.0\.1:\d+/v1", process.stdout.readline())
            assert match is not None
            key = {"Authorization": "Bearer right"}
            with httpx.Client(base_url=match[0], timeout=20) as client:
                codes = [client.get("models", headers=key).status_code for _ in range(2)]
                refused = client.get("models").status_code
        finally:
            process.terminate()
        assert process.wait(20) == 0
    assert (codes, refused) == ([503, 200], 401)
