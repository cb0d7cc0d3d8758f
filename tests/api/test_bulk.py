"""Many submits in one request."""

import uuid
from typing import Any

from tests.api.conftest import OpenSite, problem


def _body(*tasks: Any) -> dict[str, Any]:
    return {"tasks": list(tasks)}


def _item(topic: Any = "AI", **more: Any) -> dict[str, Any]:
    return {"task_type": "content_generation", "payload": {"topic": topic}, **more}


async def test_all_tasks_of_a_bulk_submit_are_there_in_order(site: OpenSite) -> None:
    async with site() as here:
        topics = ["AI技术", "区块链", "元宇宙"]
        told = await here.ask("POST", "/tasks/bulk", 201, _body(*map(_item, topics)))
        assert (told["accepted"], told["refused"]) == (3, 0)
        assert [each["status"] for each in told["tasks"]] == [201] * 3
        for index, (each, topic) in enumerate(zip(told["tasks"], topics, strict=True)):
            assert each["index"] == index
            task = await here.ask("GET", f"/tasks/{each['task_id']}", 200)
            assert task["payload"] == {"topic": topic}


async def test_what_is_wrong_with_one_task_does_not_spoil_the_others(site: OpenSite) -> None:
    async with site() as here:
        chosen = str(uuid.uuid4())
        await here.ask("POST", "/queues", 201, {"name": "small", "capacity": 1})
        told = await here.ask(
            "POST",
            "/tasks/bulk",
            207,
            _body(
                _item(),
                _item(3),
                {"task_type": "nope"},
                7,
                _item(id=chosen),
                _item(id=chosen),
                _item(queue_name="small"),
                _item(queue_name="small"),
                {"task_type": "alone", "payload": {"name": "a"}},
                {"task_type": "alone", "payload": {"name": "a"}},
            ),
        )
        statuses = [each["status"] for each in told["tasks"]]
        assert statuses == [201, 422, 422, 422, 201, 422, 429, 429, 201, 200]
        assert (told["accepted"], told["refused"]) == (4, 6)
        slugs = [each["error"] and each["error"]["type"] for each in told["tasks"]]
        assert slugs[1:4] == ["payload-invalid", "unknown-task-type", "request-invalid"]
        assert slugs[6] == "queue-full"
        assert told["tasks"][8]["task_id"] == told["tasks"][9]["task_id"]
        assert (await here.ask("GET", "/tasks", 200))["total"] == 3


async def test_a_bulk_submit_has_a_size(site: OpenSite) -> None:
    async with site() as here:
        for body in (_body(), _body(*[_item()] * 1001), {"tasks": "all"}, {}):
            answer = await here.client.post("/api/v1/tasks/bulk", json=body)
            assert (answer.status_code, problem(answer).fields) == (422, ("tasks",))
        await here.ask("POST", "/tasks/bulk", 201, _body(*[_item()] * 1000))
