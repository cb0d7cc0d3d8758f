"""The dashboard and the alert rules name metrics and labels that a real scrape has."""

import asyncio
import json
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.observe.scraping import Scrape
from tests.observe.test_scrape import settled, working
from tidemill import (
    EngineLost,
    LeaseLost,
    Retry,
    ScheduleFired,
    ScheduleMissed,
    Snooze,
    TaskReclaimed,
    Tidemill,
)
from tidemill.clock import EPOCH
from tidemill.observe.exposition import exposition
from tidemill.observe.reading import Metering, watching_loop

DEPLOY = Path(__file__).parents[2] / "deploy"
DASHBOARD = json.loads((DEPLOY / "grafana/tidemill.json").read_text())
RULES = yaml.safe_load((DEPLOY / "prometheus/rules.yml").read_text())
OF_THE_SCRAPER = frozenset({"job", "instance", "le"})
FUNCTIONS = frozenset(
    "absent by clamp_min histogram_quantile increase label_values max min or and rate sum topk"
    " without unless on ignoring avg".split()
)

_TEXT = re.compile(r'"(?:[^"\\]|\\.)*"')
_SELECTOR = re.compile(r"(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(?P<labels>[^}]*)\})?")
_LABEL = re.compile(r"([a-zA-Z_]\w*)\s*(?:=~|!~|!=|=)")
_GROUPED = re.compile(r"\b(?:by|without|on)\s*\(([^)]*)\)")
_RANGE = re.compile(r"\[[^\]]*\]")
_LABEL_VALUES = re.compile(r"label_values\((?P<name>\w+), (?P<label>\w+)\)")


def read(expression: str) -> tuple[dict[str, set[str]], set[str]]:
    """The metrics of an expression with the labels they are chosen by, and labels grouped by."""
    plain = _RANGE.sub("", _TEXT.sub('""', expression))
    grouped = {
        name.strip() for found in _GROUPED.findall(plain) for name in found.split(",") if name
    }
    metrics: dict[str, set[str]] = {}
    for found in _SELECTOR.finditer(_GROUPED.sub("", plain)):
        if found["name"] not in FUNCTIONS and not found["name"].isdigit():
            metrics.setdefault(found["name"], set()).update(_LABEL.findall(found["labels"] or ""))
    return metrics, grouped


@pytest.fixture(scope="module")
def scrape() -> Scrape:
    """A scrape of a worker to which everything has happened."""
    return asyncio.run(_scrape())


async def _scrape() -> Scrape:
    app = Tidemill("memory://")

    @app.task(name="fine")
    async def fine() -> None: ...

    @app.task(name="bad", max_attempts=1)
    async def bad() -> None:
        raise ValueError

    @app.task(name="again")
    async def again() -> None:
        raise Retry(after=timedelta(hours=1))

    @app.task(name="later")
    async def later() -> Snooze:
        return Snooze(timedelta(hours=1))

    @app.task(name="held")
    async def held() -> None: ...

    metering = Metering(app)
    async with watching_loop(app), working(app):
        done = asyncio.ensure_future(settled(app, 4))
        await asyncio.sleep(0)
        await app.enqueue_many([fine.call(), bad.call(), again.call(), later.call()])
        await done
        task = ("id", "fine", "default")
        app.bus.emit(LeaseLost(*task, 1, "w"))
        app.bus.emit(TaskReclaimed(*task, "w", "pending"))
        app.bus.emit(EngineLost("claim", "gone", timedelta(seconds=1)))
        app.bus.emit(ScheduleFired("s", EPOCH, "id", timedelta(seconds=1)))
        app.bus.emit(ScheduleMissed("s", EPOCH, 2))
        text, _ = exposition(await metering.families(), "")
    return Scrape.of(text.decode())


def _known(scrape: Scrape) -> dict[str, frozenset[str]]:
    """Names with their labels: those with samples, and families that have none yet."""
    known = dict(scrape.labels_of)
    for family in scrape.families:
        if not family.samples:
            name = f"{family.name}_total" if family.type == "counter" else family.name
            known[name] = frozenset({"queue", "task_type"})
    for rule in RULES["groups"][0]["rules"]:
        if "record" in rule:
            known[rule["record"]] = frozenset({"queue", "task_type"})
    return known


def _panels() -> Iterator[tuple[str, str]]:
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]


def _rules() -> Iterator[tuple[str, str]]:
    for rule in RULES["groups"][0]["rules"]:
        yield rule.get("alert") or rule["record"], rule["expr"]


EXPRESSIONS = [*_panels(), *_rules()]


@pytest.mark.parametrize(("name", "expression"), EXPRESSIONS)
def test_an_expression_names_what_a_scrape_has(scrape: Scrape, name: str, expression: str) -> None:
    del name
    known = _known(scrape)
    metrics, grouped = read(expression)
    assert metrics
    assert sorted(set(metrics) - set(known)) == []
    for metric, labels in metrics.items():
        assert sorted(labels - known[metric] - OF_THE_SCRAPER) == []
    somewhere = frozenset().union(*(known[metric] for metric in metrics))
    assert sorted(grouped - somewhere - OF_THE_SCRAPER) == []
    assert expression.count("(") == expression.count(")")
    if "_bucket" in expression:
        assert "le" in grouped


def test_the_check_finds_a_metric_and_a_label_that_do_not_exist() -> None:
    metrics, grouped = read('sum by (line) (rate(tidemill_task_total{typ=~"a|b{",x!="}"}[5m])) > 1')
    assert metrics == {"tidemill_task_total": {"typ", "x"}}
    assert grouped == {"line"}


def test_what_engines_say_of_queues_is_never_added_up_over_processes() -> None:
    for _, expression in EXPRESSIONS:
        for found in re.finditer(r"tidemill_queue_\w+", expression):
            before = expression[: found.start()].rstrip()
            assert before.endswith(("max by (queue) (", "max(")), expression


@pytest.mark.parametrize("name", ["queue", "task_type"])
def test_the_choices_of_the_dashboard_are_labels_of_a_metric(scrape: Scrape, name: str) -> None:
    [variable] = [each for each in DASHBOARD["templating"]["list"] if each["name"] == name]
    found = _LABEL_VALUES.fullmatch(variable["definition"])
    assert found is not None
    assert found["label"] in _known(scrape)[found["name"]]


def test_the_panels_have_places_of_their_own() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells


def test_every_alert_says_what_to_do() -> None:
    for rule in RULES["groups"][0]["rules"]:
        if "alert" in rule:
            assert {"summary", "action"} <= rule["annotations"].keys(), rule["alert"]
            assert rule["labels"]["severity"] in {"warning", "critical"}


def test_the_example_reads_the_rules_that_are_there() -> None:
    told: dict[str, Any] = yaml.safe_load((DEPLOY / "prometheus/prometheus.yml").read_text())
    assert [(DEPLOY / "prometheus" / each).is_file() for each in told["rule_files"]] == [True]
