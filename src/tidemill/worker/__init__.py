"""The worker: takes tasks from an engine and runs them."""

from tidemill.worker.runtime import Worker

__all__ = ["Worker"]
