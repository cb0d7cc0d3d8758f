"""The OpenAPI 3.1 document, made of the shapes that routes are declared with."""

import re
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from types import UnionType
from typing import Any, Final, get_args

import msgspec

from tidemill.api.examples import EXAMPLES
from tidemill.api.idempotency import LONGEST_KEY
from tidemill.api.problems import MEDIA_TYPE
from tidemill.api.routing import Nothing, Operation
from tidemill.interface.problems import Problem

_JSON: Final = "application/json"
_EVENTS: Final = "text/event-stream"
_REF: Final = "#/components/schemas/{name}"
_PARAMETER: Final = re.compile(r"\{(\w+)\}")

_PATH_PARAMETERS: Final[Mapping[str, str]] = {
    "task_id": "The id of a task, a UUID.",
    "workflow_id": "The id of a workflow, a UUID.",
    "queue_name": "The name of a queue.",
    "name": "The name of a scheduled task.",
    "fingerprint": "The fingerprint of an error.",
    "key_id": "The id of an API key.",
    "webhook_id": "The id of a webhook.",
    "silence_id": "The id of a silence.",
}

_HEADERS: Final[Mapping[str, str]] = {
    "Idempotency-Key": "Any text. Sent again within 24 hours with the same body, the answer is the "
    "same and nothing is submitted twice.",
    "If-Match": "The ETag that was read: the change is refused with 412 when it is not current.",
    "If-None-Match": "The ETag that was read: the answer is 304 when nothing has changed.",
    "Last-Event-ID": "The id of the last event that was received: what came after it follows.",
    "Prefer": "`wait=N`: answer when the task is final, or after N seconds (at most 60).",
    "traceparent": "W3C Trace Context: the run of the task is a part of this trace.",
}

_SCHEMES: Final[Mapping[str, dict[str, str]]] = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "An API key, or a JWT signed with the server's secret.",
    },
    "key": {
        "type": "apiKey",
        "in": "header",
        "name": "X-API-Key",
        "description": "An API key.",
    },
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": "tidemill",
        "description": "The session of a browser that used a login link. Behind TLS its name "
        "begins with `__Host-` or `__Secure-`.",
    },
}
"""How a caller shows who it is: one of these. `x-tidemill-scope` is what it needs besides."""

_HEADER_LIMITS: Final[Mapping[str, dict[str, int]]] = {
    "Idempotency-Key": {"minLength": 1, "maxLength": LONGEST_KEY}
}

_PROBLEMS: Final[Mapping[int, str]] = {
    400: "The body is not JSON.",
    401: "The request has no credentials, or none that are valid.",
    403: "The credentials do not allow this, whether or not it exists.",
    404: "There is nothing of that name.",
    409: "The state of things does not allow that.",
    412: "It was changed since it was read.",
    413: "The body or the payload is too large.",
    415: "The body has another content type than application/json.",
    422: "A value is not valid; `errors` names the fields.",
    429: "The queue is full, or the credentials were used more often than their rate allows.",
    503: "The engine does not answer.",
}


def document(operations: Iterable[Operation], *, version: str, root: str = "/") -> dict[str, Any]:
    """The document of these routes, found under `root`."""
    wanted = list(operations)
    schemas, components = msgspec.json.schema_components(shapes_of(wanted), ref_template=_REF)
    by_shape = dict(zip(shapes_of(wanted), schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for each in wanted:
        paths.setdefault(each.prefix + each.path, {})[each.method.lower()] = _operation(
            each, by_shape, components
        )
    queries = {by_shape[each.query]["$ref"].rpartition("/")[2] for each in wanted}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Tidemill",
            "version": version,
            "description": "Background tasks: submit them, follow them, read their results.",
        },
        "servers": [{"url": root}],
        "paths": paths,
        "components": {
            "schemas": {
                name: _with_example(name, schema)
                for name, schema in components.items()
                if name not in queries
            },
            "securitySchemes": _SCHEMES,
        },
        "security": [{name: []} for name in _SCHEMES],
    }


def shapes_of(operations: Iterable[Operation]) -> tuple[Any, ...]:
    """All shapes that routes read or answer, and that of problems."""
    shapes: dict[Any, None] = {Problem: None}
    for each in operations:
        said = (each.query, each.shape, *each.answers.values())
        shapes |= dict.fromkeys(part for shape in said for part in _parts(shape))
    return tuple(shapes)


def _parts(shape: Any) -> tuple[Any, ...]:
    """The shapes of a union; msgspec describes none whose members are not tagged."""
    if shape is None:
        return ()
    return get_args(shape) if isinstance(shape, UnionType) else (shape,)


def _schema(shape: Any, schemas: Mapping[Any, dict[str, Any]]) -> dict[str, Any]:
    parts = [schemas[each] for each in _parts(shape)]
    return parts[0] if len(parts) == 1 else {"anyOf": parts}


def _with_example(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    return schema | {"examples": [EXAMPLES[name]]} if name in EXAMPLES else schema


def _operation(
    said: Operation, schemas: Mapping[Any, dict[str, Any]], components: Mapping[str, Any]
) -> dict[str, Any]:
    summary, _, more = said.text.partition("\n")
    made: dict[str, Any] = {
        "operationId": said.name,
        "summary": summary.rstrip("."),
        "tags": [said.tag],
        "parameters": [
            *(_path_parameter(name) for name in _PARAMETER.findall(said.path)),
            *_query_parameters(components[schemas[said.query]["$ref"].rpartition("/")[2]]),
            *(_header(name) for name in said.headers),
        ],
        "responses": _responses(said, schemas),
    }
    if said.scope is None:
        made["security"] = []
    else:
        made["x-tidemill-scope"] = said.scope.value
        made["x-tidemill-tenants"] = said.tenants
    if more.strip():
        made["description"] = " ".join(more.split())
    if said.shape is not Nothing:
        required = any(field.required for field in msgspec.structs.fields(said.shape))
        made["requestBody"] = {
            "required": required,
            "content": {_JSON: {"schema": schemas[said.shape]}},
        }
    return made


def _path_parameter(name: str) -> dict[str, Any]:
    return {
        "name": name,
        "in": "path",
        "required": True,
        "description": _PATH_PARAMETERS[name],
        "schema": {"type": "string", "minLength": 1},
    }


def _query_parameters(shape: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "query", "required": False, "schema": _without_null(schema)}
        for name, schema in shape["properties"].items()
    ]


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """A query string has no null: such a parameter is left out."""
    kinds = [each for each in schema.get("anyOf", ()) if each != {"type": "null"}]
    rest = {name: value for name, value in schema.items() if name not in {"anyOf", "default"}}
    return rest | kinds[0] if len(kinds) == 1 else schema


def _header(name: str) -> dict[str, Any]:
    return {
        "name": name,
        "in": "header",
        "required": False,
        "description": _HEADERS[name],
        "schema": {"type": "string"} | _HEADER_LIMITS.get(name, {}),
    }


def _responses(said: Operation, schemas: Mapping[Any, dict[str, Any]]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for status, shape in said.answers.items():
        made[str(status)] = {"description": HTTPStatus(status).phrase}
        if shape is not None:
            schema = _schema(shape, schemas)
            made[str(status)]["content"] = {
                said.media_type: {
                    "schema": _event(schema) if said.media_type == _EVENTS else schema
                }
            }
    if "If-None-Match" in said.headers:
        made["304"] = {"description": "Nothing has changed since it was read."}
    for status in sorted(_statuses(said)):
        made[str(status)] = {
            "description": _PROBLEMS[status],
            "content": {MEDIA_TYPE: {"schema": schemas[Problem]}},
        }
    return made


def _event(data: Mapping[str, Any]) -> dict[str, Any]:
    """A server-sent event whose data are JSON."""
    text = {"type": "string"}
    return {
        "type": "object",
        "properties": {
            "id": text,
            "event": text,
            "data": text | {"contentMediaType": _JSON, "contentSchema": data},
        },
    }


def _statuses(said: Operation) -> set[int]:
    """What it may answer besides what it is for: any may refuse a query that it does not know."""
    with_body = {400, 413, 415} if said.shape is not Nothing else set()
    known = {401, 403, 429} if said.scope is not None else set()
    return {422, *said.problems, *with_body, *known} | ({503} if said.asks_engine else set())
