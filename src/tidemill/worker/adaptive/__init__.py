"""Automatic concurrency: how many tasks of each queue a worker runs at once, found by measuring.

    measures     what the rule looks at
    rule         what was measured → more, fewer or as many slots; pure
    brakes       what makes the rule lower the number at once; pure
    shares       what each queue may claim → what to ask the engine for; pure
    gauge        the process's loop lag, processor and memory use
    controller   joins them for one pool of a worker
    controllers  those of a worker, and what lets them look

`docs/concurrency.md` describes the rule and what it reaches.
"""

from tidemill.worker.adaptive.controllers import MOST, START, Controllers
from tidemill.worker.adaptive.shares import Ask, Shares, Undivided

__all__ = ["MOST", "START", "Ask", "Controllers", "Shares", "Undivided"]
