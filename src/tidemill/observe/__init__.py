"""Logs and metrics of a process: they listen to events, and nothing waits for them.

metrics        events as counts; process, queues: what is asked when metrics are read
reading        all of them together; processes: those of several worker processes as one
exposition     as Prometheus reads them; serving: on a port of their own
logs           lines on standard error; lines: events as lines; capture: what tasks log is kept
"""
