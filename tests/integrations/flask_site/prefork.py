"""Serves as pre-forking servers do: the application is used first, then children are forked."""

import os
import signal
import sys
from wsgiref.simple_server import make_server

from counter import add, app

print(add.delay(1, 1).id)
servers = [make_server("127.0.0.1", int(port), app) for port in sys.argv[1:]]
children = []
for server in servers:
    child = os.fork()
    if child == 0:
        server.serve_forever()
    children.append(child)


def stop(*_: object) -> None:
    for child in children:
        os.kill(child, signal.SIGKILL)


signal.signal(signal.SIGTERM, stop)
for child in children:
    os.waitpid(child, 0)
