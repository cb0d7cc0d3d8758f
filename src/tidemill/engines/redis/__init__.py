"""The Redis engine: tasks on Redis or Valkey, one server or a cluster, across many machines.

One task is one hash, and its id stands in exactly one of the structures of its state:

    <root> = tidemill:  or, on a cluster, tidemill:{<queue>}:

    task:<id>            hash     facts, payload, live; result, error, reason, progress, shown
    logs:<id>            list     log lines
    attempts:<id>        list     attempts before the last
                                                                       state of the task
    due                  zset     by due instant                       scheduled
    line:<queue>/<key>   zset     in claim order                       blocked on a limit
    waits:<id>           set      its live children                    blocked on children
    lane:<queue>/<priority>[/alone][/type/<type>]
                         stream   not delivered                        pending
                                  in the group's pending list          running: who holds what
    leases               zset     by end of lease                      running: until when
    prune                zset     by end of retention                  completed, failed, cancelled
    dlq:<queue>          stream   task, error, failed_at               failed

    ready                hash     undelivered entries, by lane         what a claim looks at first
    lanes                set      every lane there is
    queues               hash     weight, pause, lease, place in the rotation
    expiring             zset     waiting tasks that expire
    slots:<queue>/<key>  set      tasks that occupy a limit
    unique:<queue>/<key> string   the task that holds a key
    parents:<id>         set      parents that wait for a child
    claims:<worker>      zset     a worker's last 64 claim ids
    marks                hash     last instant and number of fires, by schedule
    fires:<schedule>     list     its last 50 fires, newest first
    ended                list     what ended since it was added to these:
    tallies:<minute, hour or day>/<its beginning>
                         hash     what ended then, by queue and type
    stretches:<…>        zset     the minutes, hours or days that have tallies
    documents:<kind>     hash     version and body, by key
    ledger               hash     the engine's clock, its counters
    counts               hash     tasks by queue, type and state
    feed                 stream   the journal; one entry per script call
    outbox               zset     what other queues of a cluster must be told
    index:<place>        zset     ids for people who search; made from the feed
    indexed              hash     how far
    meta                 hash     the format of all this
    known                set      every queue of a cluster; under {/}, with documents, meta and the
                                  marks of schedules that have no queue yet

`tidemill:ready` is the channel on which scripts name the queues that got something to claim.
"""

from tidemill.clock import Clock
from tidemill.engine import Engine
from tidemill.engines.redis.address import parse
from tidemill.engines.redis.cluster import ClusterEngine
from tidemill.engines.redis.engine import RedisEngine

__all__ = ["ClusterEngine", "RedisEngine", "from_url"]


def from_url(url: str, *, clock: Clock | None = None) -> Engine:
    """The engine that a URL of `address.py` names."""
    kind = ClusterEngine if parse(url).mode == "cluster" else RedisEngine
    return kind(url, clock=clock)
