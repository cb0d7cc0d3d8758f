"""Cron expressions and schedules at random, from a seeded source."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from tests.schedule.oracle import MONTHS, WEEKDAYS
from tidemill.schedule import Cron, Every, Once, Schedule, Timing, checked_schedule
from tidemill.task import NewTask

NOW = datetime(2026, 6, 1, 9, 0, 0, 250_000, tzinfo=UTC)
NIGHT = (0, 1, 2, 3, 4, 23)
"""The hours in which clocks change."""

TEMPLATE = NewTask(id="", task_type="report", payload=b'{"n":1}', headers={"trace": "t1"})


def schedule(timing: Timing, **options: Any) -> Schedule:
    """A checked schedule called `nightly` from 2026-01-01; `options` are its fields."""
    plain: dict[str, Any] = {
        "name": "nightly",
        "task": TEMPLATE,
        "since": datetime(2026, 1, 1, tzinfo=UTC),
        "created_at": NOW,
        "updated_at": NOW,
    }
    return checked_schedule(Schedule(timing=timing, **(plain | options)))


def timing(random: Random) -> Timing:
    match random.randrange(4):
        case 0:
            return Cron(
                expression(random), random.choice(["UTC", "Europe/Berlin", "Asia/Shanghai"])
            )
        case 1:
            return Cron(random.choice(["* * * * *", "*/7 * * * *", "@hourly", "@daily"]))
        case 2:
            period = timedelta(seconds=random.choice([1, 30, 300, 4_000, 90_000]))
            jitter = random.choice([timedelta(), period * random.random() * 0.999])
            return Every(period, jitter)
        case _:
            return Once(NOW + timedelta(minutes=random.randrange(-1_000, 10_000)))


def expression(random: Random) -> str:
    """Five fields; most of them happen at night, so that they meet the changes of clocks."""
    minute = field(random, range(60), star=0.2)
    hour = field(random, random.choice([NIGHT, range(24)]), high=23, star=0.3)
    of_month = field(random, range(1, 32), star=0.7, words=["L", "LW"])
    month = field(random, range(1, 13), star=0.85, names=MONTHS)
    lasts = [f"{random.randrange(8)}L", f"{random.randrange(8)}#{random.randrange(1, 6)}"]
    lasts.append(f"{random.choice(WEEKDAYS)}#{random.randrange(1, 6)}")
    of_week = field(random, range(8), star=0.7, names=WEEKDAYS, words=lasts)
    return f"{minute} {hour} {of_month} {month} {of_week}"


def field(
    random: Random,
    values: Sequence[int],
    *,
    star: float,
    high: int | None = None,
    names: Sequence[str] = (),
    words: Sequence[str] = (),
) -> str:
    if random.random() < star:
        return random.choice(["*", "*", f"*/{random.randint(1, max(values) - min(values))}"])
    top = max(values) if high is None else high
    terms = [term(random, values, top, names) for _ in range(random.choice([1, 1, 1, 2, 3]))]
    if words and random.random() < 0.3:
        terms.append(random.choice(words))
    return ",".join(terms)


def term(random: Random, values: Sequence[int], top: int, names: Sequence[str]) -> str:
    value = random.choice(values)
    base = value_text(random, value, names, 1 if names is MONTHS else 0)
    if value < top and random.random() < 0.4:
        base += f"-{random.randint(value + 1, top)}"
    return base + (f"/{random.randint(1, max(1, top - 1))}" if random.random() < 0.25 else "")


def value_text(random: Random, value: int, names: Sequence[str], low: int) -> str:
    if value - low < len(names) and random.random() < 0.4:
        name = names[value - low]
        return random.choice([name, name.lower(), name.title()])
    return str(value)
