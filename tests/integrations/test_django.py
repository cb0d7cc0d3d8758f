"""A Django project with tasks: real servers, a real worker, and results read back over HTTP."""

import json
import subprocess
import sys
from contextlib import ExitStack
from typing import Any

import httpx
import pytest

from tests.integrations.conftest import Site, eventually
from tidemill import Tidemill
from tidemill.task import NewTask, State

pytest.importorskip("django")

READY = "is ready"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, stack: ExitStack) -> Site:
    """The project with its tables, and a worker of it."""
    site = Site("django_site", tmp_path_factory.mktemp("django"), stack)
    run(site, "migrate", "--run-syncdb")
    site.start("manage.py", "tidemill", "worker", "--threads", "1", until_told=READY)
    return site


@pytest.fixture(scope="module")
def servers(site: Site) -> dict[str, httpx.Client]:
    return {
        "wsgi": site.serve("manage.py", "runserver", "--noreload", "127.0.0.1:PORT"),
        "asgi": site.serve("-m", "uvicorn", "asgi:application", "--port", "PORT"),
    }


@pytest.fixture(params=["wsgi", "asgi"])
def client(request: pytest.FixtureRequest, servers: dict[str, httpx.Client]) -> httpx.Client:
    return servers[request.param]


def run(site: Site, *words: str, **more: Any) -> subprocess.CompletedProcess[str]:
    """A command of the project."""
    return subprocess.run(
        [sys.executable, "manage.py", *words],
        cwd=site.code,
        env={**site.environment, **more},
        capture_output=True,
        text=True,
        check=not more,
        timeout=60,
    )


def enqueue(client: httpx.Client, name: str, *, path: str = "/tasks", **asked: Any) -> Any:
    answer = client.post(f"{path}/{name}", json=asked)
    assert answer.status_code == 200, answer.text
    return answer.json()


def final(client: httpx.Client, task_id: str, path: str = "/results") -> Any:
    """The result of a task once it is final."""
    return eventually(
        lambda: client.get(f"{path}/{task_id}").json(),
        lambda answer: answer["status"] in {"SUCCESSFUL", "FAILED"},
    )


def test_what_a_committed_transaction_enqueued_runs_and_sees_its_data(client: httpx.Client) -> None:
    made = client.post("/orders", params={"name": "tea"}).json()
    assert made["inside"] is None
    assert made["after"] is not None
    done = final(client, made["id"])
    assert (done["status"], done["value"]) == ("SUCCESSFUL", "tea")
    assert (done["queue"], done["priority"], done["backend"]) == ("mail", 20, "default")
    assert (done["args"], done["kwargs"], done["errors"]) == ([made["order"]], {}, [])
    assert done["enqueued_at"] <= done["started_at"] <= done["finished_at"]
    assert client.get(f"/orders/{made['order']}").json() == {"confirmed": True}


def test_what_a_rolled_back_transaction_enqueued_never_exists(client: httpx.Client) -> None:
    refused = client.post("/orders", params={"name": "tea", "then": "fail"})
    assert refused.status_code == 409
    assert client.get(f"/results/{refused.json()['id']}").status_code == 404


def test_async_views_and_async_tasks_work(client: httpx.Client) -> None:
    made = enqueue(client, "count_orders", path="/async/tasks", kwargs={"least": 7})
    assert made["status"] == "READY"
    done = final(client, made["id"], "/async/results")
    assert done["value"][0] == 7
    assert done["kwargs"] == {"least": 7}


def test_a_task_that_failed_is_tried_again_and_its_context_says_so(client: httpx.Client) -> None:
    made = enqueue(client, "second_time", args=["wet"])
    done = final(client, made["id"])
    assert done["value"] == {"id": made["id"], "attempt": 2, "args": ["wet"], "was": "RUNNING"}
    assert done["attempts"] == 2
    [(kind, trace)] = done["errors"]
    assert kind == "builtins.OSError"
    assert "raise OSError(text)\nOSError: wet" in trace
    told = client.get(f"/told/{made['id']}").json()["told"]
    assert told == [["started", "RUNNING"], ["started", "RUNNING"], ["finished", "SUCCESSFUL"]]


def test_a_task_out_of_attempts_has_failed_with_the_errors_as_text(client: httpx.Client) -> None:
    done = final(client, enqueue(client, "broken")["id"])
    assert done["status"] == "FAILED"
    assert [kind for kind, _ in done["errors"]] == ["builtins.LookupError"] * 2
    assert "no such thing" in done["errors"][-1][1]
    told = client.get(f"/told/{done['id']}").json()["told"]
    assert told == [["started", "RUNNING"], ["started", "RUNNING"], ["finished", "FAILED"]]


def test_results_are_made_json_as_django_says_or_fail(client: httpx.Client) -> None:
    assert final(client, enqueue(client, "pair")["id"])["value"] == [1, "two"]
    done = final(client, enqueue(client, "no_json")["id"])
    assert done["errors"][-1][0] == "builtins.TypeError"


def test_a_connection_to_the_database_is_closed_after_each_run(client: httpx.Client) -> None:
    for _ in range(2):
        done = final(client, enqueue(client, "mark_connection")["id"])
        assert (done["status"], done["errors"]) == ("SUCCESSFUL", [])


def test_what_is_to_run_later_waits(client: httpx.Client) -> None:
    later = "2040-01-02T03:04:05+00:00"
    made = enqueue(client, "pair", using={"run_after": later, "priority": -55})
    found = client.get(f"/results/{made['id']}").json()
    assert (found["status"], found["attempts"], found["started_at"]) == ("READY", 0, None)
    assert found["run_after"] == "2040-01-02T03:04:05Z"
    assert found["priority"] == -55


def test_a_task_that_no_worker_would_find_is_refused(client: httpx.Client) -> None:
    answer = client.post("/tasks/unseen", json={})
    assert answer.status_code == 422
    assert "no worker would find shop.hidden.unseen" in answer.json()["error"]
    assert '["OPTIONS"]["modules"]' in answer.json()["error"]


def test_a_result_that_does_not_exist_is_said_so(client: httpx.Client) -> None:
    for strange in ("nonsense", "01a00000-0000-7000-8000-000000000000"):
        assert client.get(f"/results/{strange}").status_code == 404


async def test_a_payload_that_names_code_runs_and_imports_nothing(
    site: Site, servers: dict[str, httpx.Client]
) -> None:
    client = servers["wsgi"]
    marker = site.data / "was-here"
    gadgets = [
        ("os.system", [f"touch {marker}"]),
        ("os:system", [f"touch {marker}"]),
        ("gadget.run", []),  # importing gadget.py makes the marker
        ("shop.gadget.run", []),
        ("shop.tasks.no_task", [str(marker)]),
        ("shop.hidden.unseen", []),
        ("builtins.eval", ["1"]),
    ]
    other = Tidemill(site.url)
    engine = await other.engine()
    planted = []
    for name, args in gadgets:
        payload = f'{{"args": {args!r}}}'.replace("'", '"').encode()
        task = NewTask(id=other.new_id("default"), task_type=name, payload=payload)
        planted.append(task.id)
        await engine.enqueue([task])
    after = enqueue(client, "pair")  # behind them in the same queue
    assert final(client, after["id"])["status"] == "SUCCESSFUL"
    states = [await other.handle(task_id).state() for task_id in planted]
    assert states == [State.PENDING] * len(gadgets)
    assert {client.get(f"/results/{task_id}").status_code for task_id in planted} == {404}
    for task_id in planted:
        await other.handle(task_id).cancel()
    await other.close()
    assert not marker.exists()


async def test_a_cancelled_task_is_failed_to_django_and_says_why(
    site: Site, servers: dict[str, httpx.Client]
) -> None:
    client = servers["asgi"]
    made = enqueue(client, "pair", using={"run_after": "2040-01-02T03:04:05+00:00"})
    other = Tidemill(site.url)
    await other.handle(made["id"]).cancel("not wanted")
    await other.close()
    found = client.get(f"/results/{made['id']}").json()
    assert found["status"] == "FAILED"
    assert found["errors"] == [["tidemill.errors.TaskCancelledError", "not wanted"]]


def test_several_worker_processes_start_from_manage_py_in_any_folder(site: Site) -> None:
    environment = site.environment
    site.environment = {**environment, "PYTHONPATH": ""}
    try:
        worker = site.start(
            "manage.py", "tidemill", "worker", "--processes", "2", "-Q", "other", until_told=READY
        )
        worker.stop()
    finally:
        site.environment = environment
    assert worker.log.read_text().count("the worker process") == 2


def test_the_command_line_finds_the_application_without_manage_py(site: Site) -> None:
    words = [sys.executable, "-m", "tidemill", "-A", "tidemill.integrations.django:app"]
    said = subprocess.run(
        [*words, "enqueue", "shop.tasks.pair", "--wait", "--timeout", "30"],
        cwd=site.code,
        env={**site.environment, "DJANGO_SETTINGS_MODULE": "settings"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (said.returncode, said.stdout.split()) == (0, ["[", "1,", '"two"', "]"]), said.stderr


def test_the_command_line_says_that_settings_are_missing(site: Site) -> None:
    words = [sys.executable, "-m", "tidemill", "-A", "tidemill.integrations.django:app", "worker"]
    said = subprocess.run(
        words,
        cwd=site.code,
        env=site.environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert said.returncode == 2
    assert "DJANGO_SETTINGS_MODULE" in said.stderr
    assert said.stderr.count("\n") == 1


def test_the_project_passes_django_s_own_checks(site: Site) -> None:
    assert "no issues" in run(site, "check").stdout


@pytest.mark.parametrize(
    ("mistake", "told"),
    [
        ('{"url": f"sqlite:///{FOLDER / \'shop.sqlite3\'}"}', "tidemill.E002"),
        ('{"urls": "memory://"}', "unknown field `urls`"),
        ('{"max_attempts": "many"}', "$.max_attempts"),
    ],
)
def test_a_mistake_in_the_settings_is_told_by_the_checks(
    site: Site, mistake: str, told: str
) -> None:
    wrong = site.data / "wrong_settings.py"
    wrong.write_text(f'from settings import *\n\nTASKS["default"]["OPTIONS"] = {mistake}\n')
    path = f"{site.environment['PYTHONPATH']}:{site.data}"
    said = run(site, "check", DJANGO_SETTINGS_MODULE="wrong_settings", PYTHONPATH=path)
    assert said.returncode != 0
    assert told in said.stderr


OTHER_SETTINGS = """
from settings import *

USE_TZ = False
TASKS["reports"] = {
    "BACKEND": "tidemill.integrations.django.TidemillBackend",
    "QUEUES": [],
    "OPTIONS": {
        "url": f"sqlite:///{FOLDER / 'reports.db'}", "modules": ["shop.hidden"], "on_commit": False
    },
}
"""
OTHER_SCRIPT = """
import asyncio, datetime, json
from django.core.exceptions import SynchronousOnlyOperation
from django.db import transaction
from shop.hidden import unseen
from tidemill.integrations import django as ours

at = datetime.datetime(2040, 1, 2, 3, 4, 5)
task = unseen.using(backend="reports", queue_name="anything", run_after=at)
with transaction.atomic():
    made = task.enqueue()
    inside = made.enqueued_at is not None
found = task.get_result(made.id)

async def blocking():
    try:
        task.enqueue()
    except SynchronousOnlyOperation as error:
        return str(error)

print(json.dumps({
    "inside": inside,
    "run_after": found.task.run_after == at,
    "same": found.task == task,
    "naive": found.enqueued_at.tzinfo is None,
    "apps": [ours.app_reports is task.get_backend().app, ours.app is ours.app_default],
    "types": ["shop.hidden.unseen" in each.task_types for each in (ours.app, ours.app_reports)],
    "blocking": asyncio.run(blocking()),
}))
"""


def test_a_backend_of_its_own_may_enqueue_at_once_and_have_other_modules(site: Site) -> None:
    (site.data / "other_settings.py").write_text(OTHER_SETTINGS)
    said = run(
        site,
        *("shell", "-c", OTHER_SCRIPT),
        DJANGO_SETTINGS_MODULE="other_settings",
        PYTHONPATH=f"{site.environment['PYTHONPATH']}:{site.data}",
    )
    assert said.returncode == 0, said.stderr
    told = json.loads(said.stdout.splitlines()[-1])
    assert "begins with an a" in told.pop("blocking")
    assert told == {
        "inside": True,
        "run_after": True,
        "same": True,
        "naive": True,
        "apps": [True, True],
        "types": [False, True],
    }
