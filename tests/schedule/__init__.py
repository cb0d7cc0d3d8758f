"""Schedules: which instants they name, and what is made of those that are due.

- oracle.py: what a cron expression means, minute by minute, without our code
- samples.py: schedules and expressions at random
"""
