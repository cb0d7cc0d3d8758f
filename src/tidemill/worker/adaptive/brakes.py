"""What makes fewer slots necessary at once, whatever the goodput; pure."""

from tidemill.worker.adaptive.measures import Health, Level, Tally

LAG = 0.05
"""Seconds of loop lag that are too much: half of the 100 ms that the loop may be late (p99)."""

MEMORY = 0.9
FAILING = 0.1
"""How much larger than usual the part of failing tasks may become."""

SLOWER = 3.0
"""How many times as long as usual tasks may take while fewer of them get done."""

LEAST = 10
"""Ended tasks below which their failures and latency say nothing."""

CROWDED, MINE = 0.9, 0.25
"""Of a machine so busy, a process that has no more than this of a core is not what makes it so."""


def brake(now: Tally, usual: Level | None, failing: float, health: Health) -> str:
    """Why fewer slots are needed; empty when they are not.

    `usual` is what the present number of slots gave so far, `failing` the usual part of failures.
    """
    if health.memory >= MEMORY:
        return f"memory is at {health.memory:.0%}"
    if health.lag > LAG and not starved(health):
        return f"the loop is {1000 * health.lag:.0f} ms late"
    if now.ended < LEAST:
        return ""
    if now.failing > failing + FAILING:
        return f"{now.failing:.0%} of the tasks fail, not {failing:.0%} as usual"
    if (
        usual is not None
        and now.latency > SLOWER * usual.latency
        and now.goodput < usual.goodput * 0.7
    ):
        return f"tasks take {now.latency:.3g} s, not {usual.latency:.3g} s, and fewer complete"
    return ""


def starved(health: Health) -> bool:
    """Whether others keep the machine busy: then the loop is late whatever this process does."""
    return health.machine >= CROWDED and health.own < MINE
