from typing import Any

from django.db import connection
from django.dispatch import receiver

from shop.api import task, task_finished, task_started
from shop.models import Order, Told


@task(queue_name="mail", priority=20)
def confirm(order_id: int) -> str:
    order = Order.objects.get(id=order_id)
    order.confirmed = True
    order.save()
    return order.name


@task
async def count_orders(least: int = 0) -> list[int]:
    return [least, len([each async for each in Order.objects.all()])]


@task(takes_context=True)
def second_time(context: Any, text: str) -> dict[str, Any]:
    if context.attempt == 1:
        raise OSError(text)
    result = context.task_result
    return {"id": result.id, "attempt": context.attempt, "args": result.args, "was": result.status}


@task
def broken() -> None:
    raise LookupError("no such thing")


@task
def no_json() -> object:
    return object()


@task
def pair() -> tuple[int, bytes]:
    return 1, b"two"


@task
def mark_connection() -> None:
    """Fails on a connection that it has marked before."""
    with connection.cursor() as cursor:
        cursor.execute("CREATE TEMPORARY TABLE mark (x)")


def no_task(path: str) -> None:
    raise AssertionError(path)


@receiver([task_started, task_finished])
def remember(signal: Any, task_result: Any, **_: object) -> None:
    name = "started" if signal is task_started else "finished"
    Told.objects.create(signal=name, task=task_result.id, status=task_result.status)
