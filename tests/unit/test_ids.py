"""Identifiers: unique, rising, and the same where two makers must agree."""

import os
import threading
import time
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemill.ids import (
    IdMaker,
    carried_mark,
    child_id,
    fire_id,
    id_bytes,
    id_text,
    is_name,
    parse_id,
    queue_mark,
)

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def test_an_id_is_a_uuid_of_version_7_with_the_time_in_front() -> None:
    before = time.time_ns() // 1_000_000
    made = uuid.UUID(IdMaker().make())
    after = time.time_ns() // 1_000_000
    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    assert before <= made.int >> 80 <= after


def test_ids_of_one_maker_rise_strictly() -> None:
    maker = IdMaker()
    ids = [maker.make() for _ in range(2_000)] + maker.make_many(2_000) + [maker.make()]
    assert ids == sorted(set(ids))


def test_ids_rise_when_the_clock_steps_back(monkeypatch: pytest.MonkeyPatch) -> None:
    maker = IdMaker()
    first = maker.make()
    monkeypatch.setattr(time, "time_ns", lambda: 0)
    assert maker.make() > first


def test_ids_made_by_many_threads_at_once_are_different() -> None:
    maker, made = IdMaker(), []

    def make() -> None:
        made.extend([maker.make() for _ in range(500)])

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(made)) == 4_000


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_does_not_repeat_its_parents_ids() -> None:
    maker = IdMaker()
    maker.make()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, maker.make().encode())
        os._exit(0)
    os.waitpid(child, 0)
    of_child = os.read(reading, 100).decode()
    os.close(reading)
    os.close(writing)
    assert len(of_child) == 36
    assert of_child != maker.make()


def test_no_ids_are_made_when_none_are_asked_for() -> None:
    assert IdMaker().make_many(0) == []


@given(st.uuids())
def test_an_id_survives_the_way_through_bytes(made: uuid.UUID) -> None:
    assert id_bytes(str(made)) == made.bytes
    assert id_text(made.bytes) == str(made)


@given(st.uuids(), st.uuids())
def test_bytes_order_as_texts_do(one: uuid.UUID, other: uuid.UUID) -> None:
    assert (id_bytes(str(one)) < id_bytes(str(other))) == (str(one) < str(other))


def test_an_id_is_read_in_any_usual_form() -> None:
    text = "0190a3f2-8c1d-7abc-8def-0123456789ab"
    assert parse_id(text.upper()) == parse_id(text.replace("-", "")) == text
    for bad in ("", "42", text[:-1], "x" * 36):
        with pytest.raises(ValueError):
            parse_id(bad)


def test_an_instant_of_a_schedule_has_one_id_wherever_it_is_made() -> None:
    assert fire_id("nightly", NOON) == fire_id("nightly", NOON)
    assert uuid.UUID(fire_id("nightly", NOON)).version == 5
    shanghai = NOON.astimezone(datetime.fromisoformat("2026-01-01T00:00+08:00").tzinfo)
    assert fire_id("nightly", shanghai) == fire_id("nightly", NOON)
    others = {
        fire_id("nightly", NOON),
        fire_id("hourly", NOON),
        fire_id("nightly", NOON + timedelta(microseconds=1)),
    }
    assert len(others) == 3
    assert carried_mark(fire_id("nightly", NOON, "mail")) == queue_mark("mail")


def test_the_nth_child_of_a_parent_has_one_id() -> None:
    parent = IdMaker().make()
    ids = [child_id(parent, n) for n in range(50)]
    assert len(set(ids)) == 50
    assert ids == [child_id(parent, n) for n in range(50)]
    assert child_id(IdMaker().make(), 0) not in ids


@pytest.mark.parametrize("name", ["a", "mail.send", "a:b-c_D.9", "x" * 200])
def test_names_of_letters_digits_and_four_signs_are_names(name: str) -> None:
    assert is_name(name)


@pytest.mark.parametrize("name", ["", "x" * 201, "a b", "a/b", "ä", "a\n", "{a}", "*"])
def test_anything_else_is_no_name(name: str) -> None:
    assert not is_name(name)
