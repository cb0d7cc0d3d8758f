"""Declaring batch task types: what an item may be, and what their functions look like."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, TypedDict

import msgspec
import pytest

from tidemill import (
    Cancel,
    ConfigError,
    Context,
    DeclarationError,
    PayloadInvalid,
    Snooze,
    Tidemill,
)


class Visit(msgspec.Struct):
    path: str
    at: float = 0.0
    tags: list[str] = msgspec.field(default_factory=list)

    def __post_init__(self) -> None:
        if not self.path.startswith("/"):
            raise ValueError("a path begins with /")


@dataclass(frozen=True)
class Sale:
    amount: int
    at: datetime
    notes: list[str] = field(default_factory=list)


class Point(NamedTuple):
    x: int
    y: int = 2


class Loose(TypedDict):
    path: str


async def visits(items: list[Visit]) -> None: ...


def refused(app: Tidemill, function: Any, item: Any = Visit, **said: Any) -> str:
    with pytest.raises(DeclarationError) as caught:
        app.batch(item, **{"size": 10, "within": 1.0} | said)(function)
    assert not app.task_types
    return str(caught.value)


@pytest.mark.parametrize(
    ("item", "arguments"),
    [
        (Visit, {"path": "/a", "at": 2.5, "tags": ["x"]}),
        (Visit, {"path": "/a"}),
        (Sale, {"amount": 3, "at": datetime(2026, 1, 1, tzinfo=UTC)}),
        (Sale, {"amount": 3, "at": datetime(2026, 1, 1, tzinfo=UTC), "notes": ["n"]}),
        (Point, {"x": 1}),
    ],
)
def test_what_is_enqueued_comes_back_as_the_item(
    app: Tidemill, item: Any, arguments: dict[str, Any]
) -> None:
    def handle(items: Any) -> None: ...

    task = app.batch(item, size=10, within=1)(handle)
    payload = task.call(**arguments).payload
    loaded = task.task_type.signature.load_item(payload)
    assert isinstance(loaded, item)
    assert loaded == item(**arguments)


def test_two_items_do_not_share_a_default_that_can_be_changed(app: Tidemill) -> None:
    task = app.batch(Visit, size=10, within=1)(visits)
    signature = task.task_type.signature
    first, second = (signature.load_item(task.call("/a").payload) for _ in range(2))
    first.tags.append("x")
    assert second.tags == []


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"path": 7}, "path"),
        ({}, "path"),
        ({"path": "/a", "on": 1.0}, "on"),
        ({"path": "a"}, "a path begins with /"),
    ],
)
def test_arguments_that_are_no_item_are_refused_where_they_are_enqueued(
    app: Tidemill, arguments: dict[str, Any], told: str
) -> None:
    task: Any = app.batch(Visit, size=10, within=1)(visits)
    with pytest.raises(PayloadInvalid, match=told):
        task.call(**arguments)


def test_keys_are_made_of_the_fields_with_their_defaults(app: Tidemill) -> None:
    task = app.batch(Visit, size=10, within=1, name="v", unique="{path}@{at}{tags}")(visits)
    unique = task.call(path="/a").new_task().unique
    assert unique is not None
    assert unique.key == "v//a@0.0[]"


@pytest.mark.parametrize("item", [Loose, int, str, object, list[int], 7])
def test_an_item_without_typed_fields_is_refused(app: Tidemill, item: Any) -> None:
    async def handle(items: Any) -> None: ...

    assert "which has no typed fields" in refused(app, handle, item)


async def no_parameter() -> None: ...
async def one_item(item: Visit) -> None: ...
async def other_items(items: list[Sale]) -> None: ...
async def one_context(ctx: Context, items: list[Visit]) -> None: ...
async def three(contexts: list[Context], items: list[Visit], more: int) -> None: ...
async def contexts_last(items: list[Visit], contexts: list[Context]) -> None: ...
async def contexts_only(contexts: list[Context]) -> None: ...


@pytest.mark.parametrize(
    "function",
    [no_parameter, one_item, other_items, one_context, three, contexts_last, contexts_only],
)
def test_a_function_that_does_not_take_a_list_of_items_is_refused(
    app: Tidemill, function: Any
) -> None:
    told = refused(app, function)
    assert "takes one list[Visit], and may take a list[Context] before it" in told


@pytest.mark.parametrize("hint", [int, str, dict[str, int], tuple[int, int]])
def test_a_function_that_does_not_answer_for_each_item_is_refused(app: Tidemill, hint: Any) -> None:
    async def handle(items: list[Visit]) -> Any: ...

    handle.__annotations__["return"] = hint
    assert "None or a value for each item: annotate that as list[…]" in refused(app, handle)


def test_what_is_no_result_is_not_part_of_the_results_type(app: Tidemill) -> None:
    async def handle(items: list[Visit]) -> list[int | Snooze | Cancel | ValueError | Exception]:
        return []

    signature = app.batch(Visit, size=10, within=1)(handle).task_type.signature
    assert signature.decode_result(signature.encode_result(5)) == 5
    with pytest.raises(Exception, match="int"):
        signature.encode_result("five")


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"size": 0}, "size 0: say 1..1,000"),
        ({"size": 1001}, "size 1001: say 1..1,000"),
        ({"within": -1}, "within"),
        ({"concurrency": 0}, "concurrency 0 would never run"),
        ({"isolation": "process"}, "in the worker's own process, on its loop or a thread"),
        ({"unique": "{nobody}"}, "names 'nobody'"),
    ],
)
def test_numbers_and_options_that_cannot_be_are_refused(
    app: Tidemill, said: dict[str, Any], told: str
) -> None:
    assert told in refused(app, visits, **said)


def test_one_task_of_a_batch_has_no_timeout_of_its_own(app: Tidemill) -> None:
    task = app.batch(Visit, size=10, within=1)(visits)
    with pytest.raises(ConfigError, match="its timeouts are those of its declaration"):
        task.options(timeout=timedelta(seconds=1)).call("/a").new_task()
