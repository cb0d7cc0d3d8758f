"""Unique keys: templates and functions over the arguments, and what a conflict does."""

from datetime import timedelta
from typing import Any

import pytest

from tests.app.conftest import Hand
from tidemill import (
    DeclarationError,
    DuplicateUniqueKey,
    PayloadInvalid,
    State,
    Tidemill,
    Unique,
    VirtualClock,
)
from tidemill.outcome import Completed

MINUTE = timedelta(minutes=1)


async def index(document_id: int, version: str = "v1") -> None: ...


def refused(app: Tidemill, unique: Any) -> str:
    with pytest.raises(DeclarationError) as caught:
        app.task(unique=unique)(index)
    assert not app.task_types
    return str(caught.value)


@pytest.mark.parametrize(
    "template", ["{document}", "{other.id}", "{other[0]}", "{version:{width}}"]
)
def test_a_template_that_names_no_argument_is_refused_when_it_is_declared(
    app: Tidemill, template: str
) -> None:
    told = refused(app, template)
    assert "which is no argument (its arguments: document_id, version)" in told
    assert template in told


def test_a_template_without_names_is_refused(app: Tidemill) -> None:
    assert "names ''" in refused(app, "index:{}")


def test_a_text_that_is_no_template_is_refused(app: Tidemill) -> None:
    assert "is not a template" in refused(app, "index:{document_id")


def test_a_function_that_cannot_take_all_arguments_is_refused(app: Tidemill) -> None:
    told = refused(app, Unique(lambda document_id: f"{document_id}"))
    assert "(document_id, version)" in told
    assert "**others" in told


def test_a_rule_that_does_not_exist_is_refused() -> None:
    wrong: Any = "error"
    with pytest.raises(DeclarationError, match="say keep, replace or reject"):
        Unique("k", on_conflict=wrong)
    with pytest.raises(DeclarationError, match="say start, end or a timedelta"):
        Unique("k", until=wrong)


def test_a_template_given_with_options_is_checked_there(app: Tidemill) -> None:
    send = app.task(name="index")(index)
    with pytest.raises(DeclarationError, match="names 'nobody'"):
        send.options(unique="{nobody}")


def test_any_name_may_be_an_argument_of_a_function_with_open_arguments(app: Tidemill) -> None:
    @app.task(unique="{anything}")
    async def open_ended(**fields: str) -> None: ...

    assert open_ended.call(anything="x").new_task().unique is not None


@pytest.mark.parametrize(
    "unique",
    [
        "{document_id}:{version}",
        Unique("{document_id}:{version}"),
        Unique(lambda document_id, version: f"{document_id}:{version}"),
        Unique(lambda document_id, **others: f"{document_id}:{others['version']}"),
    ],
)
def test_a_key_is_made_of_the_arguments_with_their_defaults(app: Tidemill, unique: Any) -> None:
    send = app.task(name="index", unique=unique)(index)
    key = send.call(document_id=7).new_task().unique
    assert key is not None
    assert key.key == "index/7:v1"


def test_arguments_that_do_not_fit_the_template_are_an_invalid_payload(app: Tidemill) -> None:
    @app.task(name="order", unique="{lines[0]}")
    async def order(lines: list[str]) -> None: ...

    with pytest.raises(PayloadInvalid, match=r"payload of order is not valid: .*IndexError"):
        order.call(lines=[]).new_task()


def test_a_key_function_that_answers_no_text_is_refused(app: Tidemill) -> None:
    key: Any = lambda **_: None  # noqa: E731 - a def would be typed as what this is not
    send = app.task(name="index", unique=Unique(key))(index)
    with pytest.raises(DeclarationError, match="answered None, not a text"):
        send.call(document_id=7).new_task()


async def test_the_second_caller_gets_the_first_task(app: Tidemill) -> None:
    send = app.task(unique="{document_id}")(index)
    first, second = await send.enqueue(7), await send.enqueue(7, "v2")
    assert (first.duplicate, second.duplicate) == (False, True)
    assert second.id == first.id
    assert not (await send.enqueue(8)).duplicate


async def test_a_conflict_that_rejects_raises_and_names_the_holder(app: Tidemill) -> None:
    send = app.task(name="index", unique=Unique("{document_id}", on_conflict="reject"))(index)
    first = await send.enqueue(7)
    with pytest.raises(DuplicateUniqueKey) as caught:
        await send.enqueue(7)
    assert caught.value.task_id == first.id
    assert caught.value.unique_key == "index/7"


async def test_in_bulk_a_conflict_loses_no_handle_even_if_it_rejects(app: Tidemill) -> None:
    send = app.task(unique=Unique("{document_id}", on_conflict="reject"))(index)
    handles = await send.enqueue_many([{"document_id": each} for each in (7, 8, 7)])
    assert [each.duplicate for each in handles] == [False, False, True]
    assert handles[2].id == handles[0].id


async def test_replacing_debounces(app: Tidemill, hand: Hand) -> None:
    send = app.task(unique=Unique("{document_id}", on_conflict="replace"))(index)
    later = send.options(delay=MINUTE)
    first = await later.enqueue(7, "v1")
    await hand.pass_time(MINUTE / 2)
    second = await later.enqueue(7, "v2")
    assert (second.id, second.duplicate) == (first.id, True)
    await hand.pass_time(MINUTE / 2)
    assert await first.state() is State.SCHEDULED, "the second call started the wait anew"
    await hand.pass_time(MINUTE / 2)
    claim = await hand.take()
    assert send.task_type.signature.load(claim.payload) == {"document_id": 7, "version": "v2"}


async def test_a_key_is_free_once_its_task_has_ended(app: Tidemill, hand: Hand) -> None:
    send = app.task(unique="{document_id}")(index)
    await send.enqueue(7)
    await hand.settle(await hand.take(), Completed())
    assert not (await send.enqueue(7)).duplicate


async def test_options_may_give_another_key(app: Tidemill, clock: VirtualClock) -> None:
    send = app.task(unique="{document_id}")(index)
    await send.enqueue(7)
    by_version = send.options(unique="{document_id}/{version}")
    assert not (await by_version.enqueue(7)).duplicate
    assert (await by_version.enqueue(7)).duplicate
