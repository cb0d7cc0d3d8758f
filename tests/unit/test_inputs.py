"""Placeholders among arguments: found wherever they are, and filled with what they stand for."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from tidemill.codec import DEFAULT_CODEC, Codec
from tidemill.errors import ConfigError, PayloadInvalid
from tidemill.inputs import Place, Placeholder, filled, header_of, parted, places_of
from tidemill.signature import Signature

A, B = Placeholder("a"), Placeholder("b")


class Part(msgspec.Struct, rename="camel"):
    long_name: Any


@dataclass
class Order:
    lines: list[Any]


@pytest.mark.parametrize(
    ("value", "place"),
    [
        (A, ()),
        ([1, A], (1,)),
        ((A, 2), (0,)),
        ({"x": {"y": A}}, ("x", "y")),
        ({7: A}, ("7",)),
        (Part(A), ("longName",)),
        (Order([0, Part([A])]), ("lines", 1, "longName", 0)),
    ],
)
def test_a_placeholder_is_found_where_its_result_will_be_in_json(
    value: object, place: Place
) -> None:
    tree, places = parted({"name": value})
    assert places == {("name", *place): "a"}
    result = DEFAULT_CODEC.encode({"there": True})
    payload = filled(DEFAULT_CODEC.encode(tree), [(("name", *place), 0)], {0: result})
    node: Any = DEFAULT_CODEC.decode(payload)["name"]
    for step in place:
        node = node[step]
    assert node == {"there": True}


def test_arguments_without_placeholders_are_not_judged() -> None:
    endless: list[Any] = []
    endless.append(endless)
    for value in (object(), endless, {object(): 1}):
        assert parted({"x": value}) == ({}, {})


def test_a_run_of_results_is_said_in_one_line() -> None:
    places = [(("pages", n), n) for n in range(10_000)]
    assert header_of(places) == '[[["pages",0],0,10000]]'
    assert places_of(header_of(places)) == places


@pytest.mark.parametrize(
    "places",
    [
        [(("a",), 0)],
        [(("a", 0), 0), (("a", 1), 0)],
        [(("a", 0), 0), (("a", 2), 1)],
        [(("a", 0), 0), (("b", 1), 1)],
        [(("a", 0), 1), (("a", 1), 0), (("b",), 2)],
        [(("a", 0, "x"), 0), (("a", 1, "x"), 1)],
    ],
)
def test_places_come_back_from_their_header(
    places: list[tuple[Place, int]],
) -> None:
    assert places_of(header_of(places)) == places


def test_filling_keeps_what_stands_beside_it() -> None:
    big, at = 10**30, datetime(2026, 1, 2, tzinfo=UTC)
    payload = DEFAULT_CODEC.encode({"n": big, "at": at, "x": [None, None], "f": 0.1})
    result = DEFAULT_CODEC.encode({"text": "ü", "n": big})
    whole = filled(payload, [(("x", 0), 0), (("x", 1), 1)], {0: result, 1: None})
    assert DEFAULT_CODEC.decode(whole) == {
        "n": big,
        "at": "2026-01-02T00:00:00Z",
        "x": [{"text": "ü", "n": big}, None],
        "f": 0.1,
    }


def test_results_may_be_larger_than_what_a_payload_may_hold() -> None:
    payload = DEFAULT_CODEC.encode({"x": None})
    large = Codec(limit=3_000_000).encode("x" * 2_000_000)
    assert len(filled(payload, [(("x",), 0)], {0: large})) > 2_000_000


def test_a_result_cannot_be_looked_at_while_the_workflow_is_built() -> None:
    with pytest.raises(ConfigError, match="pass it to another step as it is"):
        f"{A}"
    with pytest.raises(ConfigError, match="pass it to another step as it is"):
        bool(A)
    assert repr(A) == "<result of the step a>"


# what a signature makes of them


def merge(pages: list[str], title: str, size: int = 3, *, note: str | None = None) -> None: ...


MERGE = Signature.of(merge, task_type="merge")


def test_the_other_arguments_are_checked_and_known() -> None:
    bound = MERGE.bind_around((), {"pages": [A, "x", B], "title": "t"})
    assert bound is not None
    assert DEFAULT_CODEC.decode(bound.payload) == {"pages": [None, "x", None], "title": "t"}
    assert bound.places == {("pages", 0): "a", ("pages", 2): "b"}
    assert bound.known == {"title": "t", "size": 3, "note": None}


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"pages": A}, "title"),
        ({"pages": A, "title": 5}, "title"),
        ({"pages": A, "title": "t", "size": "3"}, "size"),
        ({"pages": A, "title": "t", "other": 1}, "other"),
        ({"pages": A, "title": "t", "other": B}, "other"),
        ({"pages": [A, object()], "title": "t"}, None),
    ],
)
def test_what_does_not_fit_beside_a_placeholder_is_refused(
    arguments: dict[str, Any], field: str | None
) -> None:
    with pytest.raises(PayloadInvalid) as refused:
        MERGE.bind_around((), arguments)
    assert refused.value.field == field


def test_a_text_may_be_a_result() -> None:
    bound = MERGE.bind_around(([],), {"title": A, "note": B})
    assert bound is not None
    assert bound.places == {("title",): "a", ("note",): "b"}


def test_a_function_of_any_names_takes_results_by_any_name() -> None:
    def anything(first: int, **others: int) -> None: ...

    signature = Signature.of(anything, task_type="anything")
    bound = signature.bind_around((), {"first": 1, "second": A, "third": 3})
    assert bound is not None
    assert bound.known == {"first": 1, "third": 3}
    with pytest.raises(PayloadInvalid, match="third"):
        signature.bind_around((), {"first": 1, "second": A, "third": "x"})
