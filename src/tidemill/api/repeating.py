"""Submits that a client may send again with the same `Idempotency-Key`."""

from collections.abc import Awaitable, Callable
from typing import Any

from tidemill.access import Access
from tidemill.api.bodies import SubmitTask
from tidemill.api.idempotency import Reply, nth_id
from tidemill.api.owning import mark_of
from tidemill.api.records.tasks import without_payloads
from tidemill.api.routing import Answer, Call
from tidemill.app import Tidemill

Run = Callable[[str | None], Awaitable[Answer]]


async def once(call: Call[Any, Any], run: Run) -> Answer:
    """Answer as the first request with this key was answered; without a key, just answer.

    `run` gets the seed that its tasks' ids follow from, None without a key.
    """
    key = call.header("idempotency-key")
    if key is None:
        return await run(None)

    async def reply(seed: str) -> Reply:
        answer = await run(seed)
        return Reply(answer.status, answer.headers, answer.body)

    same = f"{call.request.method} {call.request.url.path}\n".encode() + call.raw
    found, again = await call.services.idempotency.once(_whose(call.access), key, same, reply)
    told = {"Idempotency-Replayed": "true"} if again else {}
    body = found.body if call.payloads else without_payloads(found.body)
    return Answer(status=found.status, headers=found.headers | told, kept=body)


def _whose(access: Access) -> str:
    """Whose key it is: the same text from other credentials, or for others, is another one."""
    return f"{access.subject}\n{mark_of(access.tenant)}"


def id_for(app: Tidemill, wanted: SubmitTask, seed: str | None, number: int = 0) -> str | None:
    """The id of the n-th task of a submit with a key; None: it gets a new one."""
    if seed is None or wanted.id is not None:
        return None
    return nth_id(seed, number, wanted.queue_name or app.queue_of(wanted.task_type))
