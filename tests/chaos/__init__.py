"""The fault campaigns: kill, freeze, poison and crowd real processes, and check the rest.

`python -m tests.chaos all --seed 7` runs everything; each report prints the command that repeats
it. Needs POSIX signals. Ends only processes that it started, and those end with it.

- campaigns.py: the campaigns by name: kills, zombie, poison, contention, schedules, servers,
  failovers, fairness, rates, concurrency, chord, siblings, dag, disk
- stage.py: what each needs: an application, workers, somebody who reads the feed
- stores.py: what they run on
- app.py, served.py: the application under attack, as campaigns and as workers load it
- workers.py, tether.py: its worker processes, and how they end
- producer.py: somebody who enqueues all the time
- ledger.py: what its tasks write down
- history.py, resumption.py, instants.py, limits.py, graph.py: judge what was seen
- facts.py: waiting for it
- report.py: what is printed
"""
