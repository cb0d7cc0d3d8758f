"""FastAPI before Celery: `python -m peers.fastapi_celery` prints its port, and serves.

An endpoint that is an ordinary function, which FastAPI runs on one of its threads, checks the body
and sends a task. It ends when its standard input is closed. The store's URL is in `STORE_URL`.
"""

# mypy: disable-error-code="import-not-found,import-untyped,untyped-decorator"
# Peers are installed in an environment of their own.

import os
import socket
import sys
import threading

import uvicorn
from celery import Celery
from fastapi import FastAPI
from pydantic import BaseModel

tasks = Celery("peer", broker=os.environ["STORE_URL"])
tasks.conf.task_ignore_result = True
# FastAPI has 40 threads; with the 10 connections of the default they wait for each other.
tasks.conf.broker_pool_limit = 40

app = FastAPI()


class Parcel(BaseModel):
    """The payload of the task."""

    user_id: int
    address: str


class Submit(BaseModel):
    """What a client submits."""

    task_type: str
    payload: Parcel


class Submitted(BaseModel):
    """What it is told."""

    task_id: str
    status: str


@tasks.task(name="parcel")
def parcel(user_id: int, address: str) -> None:
    """Never run here: what is measured is its submit."""


@app.post("/api/v1/tasks", status_code=201)
def submit(body: Submit) -> Submitted:
    """Send a task."""
    sent = parcel.delay(body.payload.user_id, body.payload.address)
    return Submitted(task_id=sent.id, status="pending")


def main() -> None:
    """Serve until standard input is closed."""
    # With the protocol named, or answers wait for the client's delayed acknowledgement.
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.bind(("127.0.0.1", 0))
    listening.listen(2048)
    config = uvicorn.Config(
        app, loop="uvloop", http="httptools", ws="none", access_log=False, log_level="warning"
    )
    server = uvicorn.Server(config)

    def end() -> None:
        sys.stdin.read()
        server.should_exit = True

    threading.Thread(target=end, daemon=True).start()
    print(listening.getsockname()[1], flush=True)
    server.run(sockets=[listening])


if __name__ == "__main__":
    main()
