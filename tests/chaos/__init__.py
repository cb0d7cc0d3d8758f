"""The fault campaign: kill, freeze, poison and crowd real workers, then check what they left.

`python -m tests.chaos all --seed 7` runs everything; each report prints the command that repeats
it. Needs POSIX signals. Ends only processes that it started.
"""
