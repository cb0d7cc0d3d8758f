"""Adds numbers later: what a request enqueues, a worker runs."""

import os
from typing import Any

from flask import Flask

from tidemill import TaskNotFound, Tidemill

mill = Tidemill(f"sqlite:///{os.environ['SITE_FOLDER']}/tasks.db")
app = Flask(__name__)


@mill.task(name="add")
def add(a: int, b: int) -> int:
    return a + b


@app.post("/sums/<int:a>/<int:b>")
def begin(a: int, b: int) -> tuple[dict[str, Any], int]:
    return {"id": add.delay(a, b).id, "pid": os.getpid()}, 202


@app.get("/sums/<task_id>")
def read(task_id: str) -> tuple[dict[str, Any], int]:
    try:
        task = mill.handle(task_id).blocking.get()
    except TaskNotFound as error:
        return {"error": str(error)}, 404
    return {"state": task.state, "result": mill.decode_result(task)}, 200
