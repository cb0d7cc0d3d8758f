"""The loop that fires schedules at their instants. Safe on every node at once; there is no leader.

- agenda.py: the schedules that are known, and whose turn is next
- scheduler.py: looks for changes, sleeps until an instant, fires
"""

from tidemill.scheduler.scheduler import Scheduler

__all__ = ["Scheduler"]
