"""The routes of the simulator."""

import asyncio
import base64
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final, TypeVar

import msgspec
import numpy as np
from litestar import Litestar, Request, Response, delete, get, post
from litestar.exceptions import ClientException, HTTPException
from litestar.response import Stream
from litestar.types import ControllerRouterHandler

from tidemill_apps.services.embedder import Embedder, Matrix
from tidemill_apps.services.llmsim.answers import INVALID, chat_answer
from tidemill_apps.services.llmsim.faults import Fault, Faults, Route
from tidemill_apps.services.llmsim.wire import (
    CHAT_MODEL,
    ChatRequest,
    EmbeddingRequest,
    ErrorAnswer,
    Told,
    usage,
)
from tidemill_apps.services.text.provider import TextAI

Answer = Response[Any] | Stream
Body = TypeVar("Body")
Asked = Request[Any, Any, Any]

_CREATED: Final = 1_700_000_000
"""When everything was made: the same request gets the same answer, byte by byte."""


def application(
    text: TextAI, embedder: Embedder, faults: Faults, api_key: str | None = None
) -> Litestar:
    """The simulator as an ASGI application; with an `api_key`, only for those who bring it."""
    simulator = _Simulator(text, embedder, faults, api_key)
    return Litestar(
        route_handlers=simulator.routes(),
        exception_handlers={HTTPException: _refused},
        openapi_config=None,
        logging_config=None,
    )


class _Cut(Exception):
    """Ends an answer in the middle: the server closes the connection."""


class _Simulator:
    def __init__(
        self, text: TextAI, embedder: Embedder, faults: Faults, api_key: str | None
    ) -> None:
        self._text = text
        self._embedder = embedder
        self._faults = faults
        self._api_key = api_key
        self._requests: Counter[Route] = Counter()

    def routes(self) -> list[ControllerRouterHandler]:
        @post("/v1/chat/completions", status_code=200)
        async def chat(request: Asked) -> Answer:
            return await self._behind(request, "chat", await _read(request, ChatRequest))

        @post("/v1/embeddings", status_code=200)
        async def embeddings(request: Asked) -> Answer:
            return await self._behind(request, "embeddings", await _read(request, EmbeddingRequest))

        @get("/v1/models")
        async def models(request: Asked) -> Answer:
            return await self._behind(request, "models", None)

        @get("/v1/models/{model:str}")
        async def model(request: Asked) -> Answer:
            name = request.path_params["model"]
            known = [each for each in self._models() if each["id"] == name]
            return Response(known[0]) if known else _no_model(name)

        @get("/faults")
        async def ahead() -> tuple[Fault, ...]:
            return self._faults.ahead

        @post("/faults", status_code=200)
        async def add(request: Asked) -> tuple[Fault, ...]:
            self._faults.add(await _read(request, tuple[Fault, ...]))
            return self._faults.ahead

        @delete("/faults")
        async def clear() -> None:
            self._faults.clear()

        @get("/requests")
        async def requests() -> dict[str, int]:
            return {route: self._requests[route] for route in ("chat", "embeddings", "models")}

        return [chat, embeddings, models, model, ahead, add, clear, requests]

    async def _behind(
        self, request: Asked, route: Route, asked: ChatRequest | EmbeddingRequest | None
    ) -> Answer:
        """Count the request, let go wrong what the script says, and answer."""
        self._requests[route] += 1
        if self._api_key and request.headers.get("Authorization") != f"Bearer {self._api_key}":
            return _error(401, "Incorrect API key provided.", "invalid_api_key")
        fault = self._faults.take(route)
        if fault and fault.kind == "status":
            return _error(fault.status, "The fault that was asked for.", fault.code, fault)
        if fault and fault.kind == "slow":
            await asyncio.sleep(fault.seconds)
        match asked:
            case ChatRequest():
                return await self._chat(asked, fault)
            case EmbeddingRequest():
                return await self._embed(asked, fault)
        return _whole({"object": "list", "data": self._models()}, fault)

    def _models(self) -> list[dict[str, object]]:
        return [
            {"id": name, "object": "model", "created": _CREATED, "owned_by": "llmsim"}
            for name in (CHAT_MODEL, self._embedder.model_id)
        ]

    async def _chat(self, asked: ChatRequest, fault: Fault | None) -> Answer:
        if asked.model != CHAT_MODEL:
            return _no_model(asked.model)
        said = await chat_answer(asked.messages, self._text)
        if fault and fault.kind == "invalid_json":
            said = INVALID
        if asked.stream:
            events = _events(asked, said, cut=_is_cut(fault))
            return Stream(events, media_type="text/event-stream")
        message = {"role": "assistant", "content": said, "refusal": None}
        choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
        return _whole(
            _head("chat.completion") | {"choices": [choice], "usage": _counted(asked, said)}, fault
        )

    async def _embed(self, asked: EmbeddingRequest, fault: Fault | None) -> Answer:
        if asked.model != self._embedder.model_id:
            return _no_model(asked.model)
        if asked.dimensions not in {None, self._embedder.dim}:
            return _error(400, f"This model has {self._embedder.dim} dimensions.", "invalid_value")
        if not asked.texts or "" in asked.texts:
            return _error(400, "'input' must have texts, none of them empty.", "invalid_value")
        rows = await asyncio.to_thread(self._embedder.embed, asked.texts)
        if fault and fault.kind == "wrong_dimension":
            rows = rows[:, :-1]
        data = [
            {"object": "embedding", "index": index, "embedding": each}
            for index, each in enumerate(_encoded(rows, asked))
        ]
        counted = {"prompt_tokens": (read := usage("".join(asked.texts)).total_tokens)}
        counted["total_tokens"] = read
        return _whole(
            {"object": "list", "data": data, "model": asked.model, "usage": counted}, fault
        )


async def _read(request: Asked, kind: type[Body]) -> Body:
    try:
        return msgspec.json.decode(await request.body(), type=kind)
    except msgspec.DecodeError as error:
        raise ClientException(str(error)) from error


def _encoded(rows: Matrix, asked: EmbeddingRequest) -> Sequence[object]:
    if asked.encoding_format == "float":
        values: list[object] = rows.tolist()
        return values
    return [base64.b64encode(row.astype("<f4").tobytes()).decode() for row in np.asarray(rows)]


def _is_cut(fault: Fault | None) -> bool:
    return fault is not None and fault.kind == "cut"


def _whole(body: dict[str, object], fault: Fault | None) -> Answer:
    """The answer at once; where it is to be cut, half of it."""
    if not _is_cut(fault):
        return Response(body)
    encoded = msgspec.json.encode(body)

    async def half() -> AsyncIterator[bytes]:
        yield encoded[: len(encoded) // 2]
        raise _Cut

    return Stream(half(), media_type="application/json")


async def _events(asked: ChatRequest, said: str, *, cut: bool) -> AsyncIterator[bytes]:
    """The answer piece by piece, as server-sent events; Chinese has no spaces to cut at."""
    pieces = [said[start : start + 8] for start in range(0, len(said), 8)]
    yield _event([_delta({"role": "assistant", "content": ""})])
    for piece in pieces[: len(pieces) // 2] if cut else pieces:
        yield _event([_delta({"content": piece})])
    if cut:
        raise _Cut
    yield _event([_delta({}, "stop")])
    if asked.stream_options and asked.stream_options.include_usage:
        yield _event([], usage=_counted(asked, said))
    yield b"data: [DONE]\n\n"


def _event(choices: list[dict[str, object]], **more: object) -> bytes:
    body = _head("chat.completion.chunk") | {"choices": choices} | more
    return b"data: " + msgspec.json.encode(body) + b"\n\n"


def _delta(delta: dict[str, str], finish_reason: str | None = None) -> dict[str, object]:
    return {"index": 0, "delta": delta, "finish_reason": finish_reason}


def _head(kind: str) -> dict[str, object]:
    return {"id": "chatcmpl-llmsim", "object": kind, "created": _CREATED, "model": CHAT_MODEL}


def _counted(asked: ChatRequest, said: str) -> dict[str, int]:
    counted: dict[str, int] = msgspec.to_builtins(
        usage("".join(message.text for message in asked.messages), said)
    )
    return counted


def _no_model(name: str) -> Response[ErrorAnswer]:
    return _error(404, f"The model `{name}` does not exist.", "model_not_found")


def _error(
    status: int, message: str, code: str | None, fault: Fault | None = None
) -> Response[ErrorAnswer]:
    after = fault.retry_after if fault else None
    headers = {} if after is None else {"Retry-After": f"{after:g}"}
    kind = "server_error" if status >= 500 else "invalid_request_error"
    answer = ErrorAnswer(Told(message, kind, code))
    return Response(answer, status_code=status, headers=headers)


def _refused(_: Asked, error: HTTPException) -> Response[ErrorAnswer]:
    """What is refused before it is looked at, such as a body of another form."""
    return _error(error.status_code, error.detail, None)
