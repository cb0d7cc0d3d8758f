"""Serves the simulator until it is interrupted."""

import argparse
import contextlib
import signal
import threading
from collections.abc import Sequence
from pathlib import Path

import msgspec

from tidemill_apps.services.embedder import SentenceEncoder
from tidemill_apps.services.llmsim.faults import Fault
from tidemill_apps.services.llmsim.running import llmsim


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line, serve, and say where."""
    parser = argparse.ArgumentParser(prog="python -m tidemill_apps.services.llmsim")
    parser.add_argument(
        "--port", type=int, default=8123, help="on the loopback; 0 takes a free one"
    )
    parser.add_argument("--api-key", help="refuse requests that do not bring it")
    parser.add_argument(
        "--faults", type=script, default=[], help="JSON, or the name of a JSON file"
    )
    given = parser.parse_args(arguments)
    stopped = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopped.set())
    with llmsim(SentenceEncoder(), given.faults, port=given.port, api_key=given.api_key) as url:
        print(f"llmsim answers at {url}", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            stopped.wait()


def script(text: str) -> list[Fault]:
    """The faults that a JSON array or a file with one lists."""
    source = text if text.lstrip().startswith("[") else Path(text).read_text("utf-8")
    try:
        return msgspec.json.decode(source, type=list[Fault])
    except msgspec.DecodeError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


if __name__ == "__main__":
    main()
