"""Background tasks for Python: accepts bursts durably, turns them into results steadily."""

__version__ = "0.1.0"
