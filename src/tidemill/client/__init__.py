"""The HTTP interface from Python: `Client` for ordinary code, `AsyncClient` for coroutines.

    with Client("http://127.0.0.1:8080") as client:
        task = client.submit_task("mail.send", {"to": "a@example.org"}, wait=10)
        print(task.status, task.result)

    faces      the two clients: what they send, and how
    routes     every route, described once: what is asked, and what is answered
    events     live changes
    problems   what the server refused, as the errors that the library raises

It needs httpx, and no application: task types are named by their text. What is answered are the
values of `tidemill.interface`.
"""

from tidemill.client.events import Event
from tidemill.client.faces import Answer, AsyncClient, Client
from tidemill.client.routes.tasks import SubmitOptions
from tidemill.errors import RequestRefused
from tidemill.interface.problems import Problem

__all__ = [
    "Answer",
    "AsyncClient",
    "Client",
    "Event",
    "Problem",
    "RequestRefused",
    "SubmitOptions",
]
