"""The simulator in a thread, for as long as a block takes."""

import asyncio
import socket
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import uvicorn

from tidemill_apps.services.embedder import Embedder
from tidemill_apps.services.llmsim.faults import Fault, Faults
from tidemill_apps.services.llmsim.server import application
from tidemill_apps.services.text.offline import OfflineText


@contextmanager
def llmsim(
    embedder: Embedder,
    faults: Iterable[Fault] = (),
    *,
    port: int = 0,
    api_key: str | None = None,
) -> Iterator[str]:
    """Serve on the loopback and yield the `base_url`, such as `http://127.0.0.1:40123/v1`.

    Port 0 takes a free one. It answers from the start of the block on; at its end, connections
    that are still open are closed.
    """
    app = application(OfflineText(embedder), embedder, Faults(faults), api_key)
    config = uvicorn.Config(
        app, log_level="critical", lifespan="off", timeout_graceful_shutdown=1, ws="none"
    )
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", port)) as listening:
        thread = threading.Thread(
            target=lambda: asyncio.run(server.serve(sockets=[listening])), name="llmsim"
        )
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}/v1"
        finally:
            server.should_exit = True
            thread.join()
