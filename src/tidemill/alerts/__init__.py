"""Alerts: what is watched, and how people are told.

readings    values of queues, tasks, workers, schedules and this machine
watch       the loop: readings, rules (`tidemill.alert`), what is news
kept        what is remembered between two looks
delivery    tasks that tell it: log, e-mail; words: what they say
"""

from tidemill.alerts.delivery import Delivery
from tidemill.alerts.watch import AlertWatch

__all__ = ["AlertWatch", "Delivery"]
