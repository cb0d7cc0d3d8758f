"""A process of Tidemill: the loops that work in it, and the supervisor of several."""

from tidemill.node.node import Node
from tidemill.node.process import RECYCLE, serve
from tidemill.node.supervisor import ProcessEnded, run_worker

__all__ = ["RECYCLE", "Node", "ProcessEnded", "run_worker", "serve"]
