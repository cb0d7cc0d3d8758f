"""What is measured, beside what was promised, and how it is shown."""

import platform
from collections.abc import Sequence
from pathlib import Path
from statistics import quantiles
from typing import Literal

import msgspec
import psutil


class Figure(msgspec.Struct, frozen=True):
    """One measured value; None if it could not be measured, and `detail` says why.

    `budget` is what it must reach: at least it or at most it, by `sense`.
    """

    name: str
    value: float | None
    unit: str
    budget: float | None = None
    sense: Literal[">=", "<="] = ">="
    detail: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the budget is kept; None where there is none."""
        if self.budget is None or self.value is None:
            return None
        return self.value >= self.budget if self.sense == ">=" else self.value <= self.budget


class Machine(msgspec.Struct, frozen=True):
    """Where it was measured."""

    cpu: str
    cores: int
    memory_gib: float
    system: str
    python: str
    engine: str
    load_before: float


def machine(engine: str) -> Machine:
    """This machine, with the load that others put on it right now."""
    lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    models = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    return Machine(
        cpu=models[0] if models else platform.processor() or platform.machine(),
        cores=psutil.cpu_count() or 1,
        memory_gib=round(psutil.virtual_memory().total / 2**30, 1),
        system=f"{platform.system()} {platform.release().partition('-')[0]}",
        python=platform.python_version(),
        engine=engine,
        load_before=round(psutil.getloadavg()[0], 2),
    )


def percentiles(name: str, values: Sequence[float], unit: str, **budgets: float) -> list[Figure]:
    """p50, p95, p99 and the largest of values; budgets by those names are upper bounds."""
    cuts = quantiles(values, n=100, method="inclusive")
    found = {"p50": cuts[49], "p95": cuts[94], "p99": cuts[98], "max": max(values)}
    return [
        Figure(f"{name}, {which}", value, unit, budgets.get(which), "<=", f"n={len(values)}")
        for which, value in found.items()
    ]


def markdown(figures: Sequence[Figure], on: Machine) -> str:
    """The figures as a table, with the machine above."""
    verdicts = {True: "yes", False: "**no**", None: ""}
    place = f"{on.cpu}, {on.cores} cores, {on.memory_gib:g} GiB, {on.system}, Python {on.python}"
    lines = [
        f"{place}, {on.engine}; load before the run {on.load_before:g}.",
        "",
        "| what | measured | budget | kept | |",
        "| --- | ---: | ---: | --- | --- |",
    ]
    for each in figures:
        sense = {">=": "≥", "<=": "≤"}[each.sense]
        budget = "" if each.budget is None else f"{sense} {_number(each.budget)} {each.unit}"
        value = each.value
        measured = "not measured" if value is None else f"{_number(value)} {each.unit}"
        lines.append(
            f"| {each.name} | {measured} | {budget} | {verdicts[each.met]} | {each.detail} |"
        )
    return "\n".join(lines) + "\n"


def _number(value: float) -> str:
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"
