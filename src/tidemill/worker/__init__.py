"""The worker: takes tasks from an engine and runs them."""

from tidemill.worker.node import RECYCLE, serve
from tidemill.worker.runtime import Worker
from tidemill.worker.supervisor import ProcessEnded, run_worker

__all__ = ["RECYCLE", "ProcessEnded", "Worker", "run_worker", "serve"]
