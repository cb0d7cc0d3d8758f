import json
from datetime import datetime
from typing import Any

from django.db import transaction
from django.http import HttpRequest, JsonResponse
from django.views.decorators.csrf import csrf_exempt

from shop import hidden, tasks
from shop.api import InvalidTask, TaskResultDoesNotExist, default_task_backend
from shop.models import Order, Told

DECLARED = {**vars(hidden), **vars(tasks)}


@csrf_exempt
def order(request: HttpRequest) -> JsonResponse:
    """Take an order and confirm it later; `?then=fail` rolls both back."""
    enqueued = []
    try:
        with transaction.atomic():
            made = Order.objects.create(name=request.GET["name"])
            enqueued.append(tasks.confirm.enqueue(made.id))
            inside = enqueued[0].enqueued_at
            if request.GET.get("then") == "fail":
                raise ValueError
    except ValueError:
        return JsonResponse({"id": enqueued[0].id}, status=409)
    after = enqueued[0].enqueued_at
    told = {"order": made.id, "id": enqueued[0].id, "inside": inside, "after": after}
    return JsonResponse(told)


def show(request: HttpRequest, order_id: int) -> JsonResponse:
    return JsonResponse({"confirmed": Order.objects.get(id=order_id).confirmed})


def told(request: HttpRequest, task_id: str) -> JsonResponse:
    found = Told.objects.filter(task=task_id).order_by("id")
    return JsonResponse({"told": [[each.signal, each.status] for each in found]})


def _asked(request: HttpRequest, name: str) -> tuple[Any, list[Any], dict[str, Any]]:
    asked = json.loads(request.body or "{}")
    using = asked.get("using", {})
    if "run_after" in using:
        using["run_after"] = datetime.fromisoformat(using["run_after"])
    task = DECLARED[name].using(**using) if using else DECLARED[name]
    return task, asked.get("args", []), asked.get("kwargs", {})


@csrf_exempt
def enqueue(request: HttpRequest, name: str) -> JsonResponse:
    try:
        task, args, kwargs = _asked(request, name)
        return JsonResponse(_described(task.enqueue(*args, **kwargs)))
    except InvalidTask as error:
        return JsonResponse({"error": str(error)}, status=422)


@csrf_exempt
async def aenqueue(request: HttpRequest, name: str) -> JsonResponse:
    task, args, kwargs = _asked(request, name)
    return JsonResponse(_described(await task.aenqueue(*args, **kwargs)))


def result(request: HttpRequest, result_id: str) -> JsonResponse:
    try:
        return JsonResponse(_described(default_task_backend.get_result(result_id)))
    except TaskResultDoesNotExist:
        return JsonResponse({}, status=404)


async def aresult(request: HttpRequest, result_id: str) -> JsonResponse:
    found = await default_task_backend.aget_result(result_id)
    await found.arefresh()
    return JsonResponse(_described(found))


def _described(found: Any) -> dict[str, Any]:
    return {
        "id": found.id,
        "status": found.status,
        "task": found.task.module_path,
        "priority": found.task.priority,
        "queue": found.task.queue_name,
        "run_after": found.task.run_after,
        "backend": found.backend,
        "args": found.args,
        "kwargs": found.kwargs,
        "enqueued_at": found.enqueued_at,
        "started_at": found.started_at,
        "finished_at": found.finished_at,
        "last_attempted_at": found.last_attempted_at,
        "attempts": found.attempts,
        "workers": found.worker_ids,
        "errors": [[each.exception_class_path, each.traceback] for each in found.errors],
        "value": found.return_value if found.status == "SUCCESSFUL" else None,
    }
