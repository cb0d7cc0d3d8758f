"""The codec: what goes in comes out, and what cannot come out is refused going in."""

import enum
import math
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any, Literal, NamedTuple, TypedDict
from uuid import UUID, uuid4

import msgspec
import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidemill.codec import HEADER, MIB, Codec, open_envelope
from tidemill.errors import (
    DeclarationError,
    PayloadInvalid,
    PayloadTooLarge,
    PayloadUndecodable,
)

CODEC = Codec()

WHOLE_MINUTE_ZONES = st.integers(-1439, 1439).map(
    lambda minutes: timezone(timedelta(minutes=minutes))
)
TEXT = st.text(st.characters(exclude_categories=["Cs"]))


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Line(msgspec.Struct):
    price: Decimal
    count: int = 1


@dataclass
class Order:
    id: UUID
    lines: list[Line] = field(default_factory=list)
    tags: frozenset[str] = frozenset()
    paid_at: datetime | None = None


class Point(NamedTuple):
    x: float
    y: float


class Options(TypedDict, total=False):
    dry_run: bool
    limit: int


class Person(pydantic.BaseModel):
    name: str
    born: date
    wealth: Decimal = Decimal(0)
    number: int = 0
    friends: list["Person"] = []
    score: float | None = None


class StrictModel(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(strict=True, extra="forbid")

    id: UUID
    on: date
    wait: timedelta
    shout: str = pydantic.Field(alias="SHOUT")

    @pydantic.computed_field  # type: ignore[prop-decorator] # pydantic's own documented form
    @property
    def length(self) -> int:
        return len(self.shout)


def again(value: object, as_type: Any) -> Any:
    return CODEC.decode(CODEC.encode(value), as_type)


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(TEXT, inner, max_size=5),
    max_leaves=10,
)


@settings(deadline=None)
@given(JSON_VALUES)
def test_whatever_json_can_say_comes_back_equal(value: object) -> None:
    assert again(value, Any) == value


@pytest.mark.parametrize(
    ("as_type", "values"),
    [
        (int, st.integers() | st.integers(-(2**600), 2**600)),
        (float, st.floats(allow_nan=False, allow_infinity=False)),
        (datetime, st.datetimes(timezones=WHOLE_MINUTE_ZONES)),
        (datetime, st.datetimes()),
        (date, st.dates()),
        (time, st.times()),
        (timedelta, st.timedeltas()),
        (UUID, st.uuids()),
        (Decimal, st.decimals(allow_nan=False)),
        (bytes, st.binary()),
        (Colour, st.sampled_from(Colour)),
        (Level, st.sampled_from(Level)),
        (set[int], st.sets(st.integers())),
        (frozenset[str], st.frozensets(TEXT)),
        (tuple[int, str], st.tuples(st.integers(), TEXT)),
        (tuple[date, ...], st.lists(st.dates()).map(tuple)),
        (dict[int, bytes], st.dictionaries(st.integers(-(2**62), 2**62), st.binary())),
        (int | str | None, st.none() | st.integers() | TEXT),
        (Literal["a", 1], st.sampled_from(["a", 1])),
        (Point, st.builds(Point, st.floats(-9, 9), st.floats(-9, 9))),
        (Options, st.fixed_dictionaries({}, optional={"dry_run": st.booleans()})),
        (Sequence[int], st.lists(st.integers())),
        (Mapping[str, list[object]], st.dictionaries(TEXT, st.lists(TEXT | st.integers()))),
        (
            Order,
            st.builds(
                Order,
                id=st.uuids(),
                lines=st.lists(st.builds(Line, price=st.decimals(allow_nan=False))),
                tags=st.frozensets(TEXT),
                paid_at=st.none() | st.datetimes(timezones=st.just(UTC)),
            ),
        ),
        (
            Person,
            st.builds(
                Person,
                name=TEXT,
                born=st.dates(),
                wealth=st.decimals(allow_nan=False, allow_infinity=False),
                number=st.integers(-(2**200), 2**200),
                friends=st.just([Person(name="a", born=date(2000, 1, 1))]),
                score=st.none() | st.floats(0, 1),
            ),
        ),
        (
            StrictModel,
            st.builds(StrictModel, id=st.uuids(), on=st.dates(), wait=st.timedeltas(), SHOUT=TEXT),
        ),
    ],
    ids=lambda each: "" if isinstance(each, st.SearchStrategy) else str(each),
)
@settings(deadline=None)
@given(data=st.data())
def test_a_value_comes_back_as_what_it_was(
    data: st.DataObject, as_type: Any, values: st.SearchStrategy[Any]
) -> None:
    value = data.draw(values)
    back = again(value, as_type)
    assert back == value
    assert type(back) is type(value)
    if isinstance(value, datetime):
        assert back.utcoffset() == value.utcoffset()
    if isinstance(value, Decimal):
        assert str(back) == str(value)


@pytest.mark.parametrize(
    "value", [2**63, 2**64, 10**100, -(10**4298), 2**53 + 1], ids=int.bit_length
)
def test_big_integers_are_exact_with_and_without_an_annotation(value: int) -> None:
    assert again(value, int) == value
    assert again({"n": [value]}, Any) == {"n": [value]}


def test_minus_zero_keeps_its_sign() -> None:
    assert math.copysign(1, again(-0.0, float)) == -1


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize(
    ("wrap", "place"),
    [
        (lambda bad: bad, None),
        (lambda bad: {"a": None, "b": [1.0, bad]}, "b[1]"),
        (lambda bad: Order(id=uuid4(), lines=[Line(bad)]), "lines[0].price"),
        (lambda bad: {"p": Person(name="a", born=date(2000, 1, 1), score=bad)}, "p.score"),
    ],
    ids=["itself", "dict", "dataclass", "pydantic"],
)
def test_not_a_number_is_refused_with_its_place(bad: float, wrap: Any, place: str | None) -> None:
    with pytest.raises(PayloadInvalid, match="NaN and Infinity") as raised:
        CODEC.encode(wrap(bad))
    assert raised.value.field == place


def test_a_deep_value_with_a_none_is_no_problem() -> None:
    deep: object = None
    for _ in range(700):
        deep = [deep]
    assert again(deep, Any) == deep


def test_none_beside_numbers_is_not_mistaken_for_not_a_number() -> None:
    assert again({"a": None, "b": 1.5}, Any) == {"a": None, "b": 1.5}


@pytest.mark.parametrize(
    ("value", "place", "reason"),
    [
        ({"a": [1, {"b": object()}]}, "a[1].b", "object has no JSON form"),
        (Order(id=uuid4(), lines=["x", lambda: 1]), "lines[1]", "function has no JSON form"),  # type: ignore[list-item] # the mistake of the test
        ({"a": "\ud800"}, "a", "surrogates not allowed"),
        ({"a": {(1, 2): 3}}, "a", "tuple has no JSON form"),
        ({"a": {True: 3}}, "a", "bool has no JSON form"),
        ({"a": 10**5000}, "a", "4300 digits"),
        (object(), None, "object has no JSON form"),
    ],
)
def test_what_has_no_json_form_is_named_with_its_place(
    value: object, place: str | None, reason: str
) -> None:
    with pytest.raises(PayloadInvalid, match=reason) as raised:
        CODEC.encode(value)
    assert raised.value.field == place


def test_a_value_that_contains_itself_is_refused() -> None:
    endless: list[object] = []
    endless.append({"again": endless})
    with pytest.raises(PayloadInvalid, match="recursion"):
        CODEC.encode(endless)


def test_subclasses_of_plain_values_are_plain_values() -> None:
    class Markup(str):
        __slots__ = ()

        def __str__(self) -> str:
            return "something else"

    class Count(int):
        pass

    class Ratio(float):
        pass

    assert again([Markup("<b>"), Count(3), Ratio(0.5)], Any) == ["<b>", 3, 0.5]
    with pytest.raises(PayloadInvalid, match="NaN"):
        CODEC.encode(Ratio("nan"))


def test_the_limit_counts_the_whole_envelope() -> None:
    fits = "x" * (100 - len(HEADER) - 2)
    assert len(Codec(limit=100).encode(fits)) == 100
    with pytest.raises(PayloadTooLarge) as raised:
        Codec(limit=100).encode(fits + "x")
    assert (raised.value.size, raised.value.limit) == (101, 100)


def test_the_default_limit_is_one_mebibyte() -> None:
    with pytest.raises(PayloadTooLarge, match="1,048,576") as raised:
        CODEC.encode("x" * 64 * MIB)
    assert raised.value.size > 64 * MIB


@pytest.mark.parametrize(
    ("value", "as_type", "place", "reason"),
    [
        ("5", int, None, "expected int, got str"),
        (True, int, None, "expected int, got bool"),
        ({"id": str(uuid4()), "lines": [{"count": 1}]}, Order, "lines[0].price", "missing"),
        ({"id": 5}, Order, "id", "expected"),
        ("green", Colour, None, "invalid enum value"),
        ([{"name": "a", "born": "never"}], list[Person], "[0].born", "date"),
        ([{"born": "2000-01-01"}], list[Person], "[0].name", "required"),
        (
            [{"name": "a", "born": "2000-01-01", "friends": [{"name": 1}]}],
            list[Person],
            "[0].friends[0].name",
            "string",
        ),
    ],
)
def test_decoding_is_strict_and_names_the_place(
    value: object, as_type: Any, place: str | None, reason: str
) -> None:
    with pytest.raises(PayloadInvalid, match=reason) as raised:
        again(value, as_type)
    assert raised.value.field == place


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not an envelope"),
        (b"\x01", "not an envelope"),
        (b'{"a":1}', "not an envelope"),
        (b"\x02J\x00{}", "not an envelope of version 1"),
        (b"\x01P\x00{}", "codec 'P'"),
        (b"\x01J\x02k7secret", "the key k7"),
        (HEADER, "not JSON"),
        (HEADER + b"{", "not JSON"),
        (HEADER + b'"\xff"', "not JSON"),
        (HEADER + b"{} {}", "not JSON"),
        (HEADER + b"[" * 1_000_000, "not JSON"),
    ],
)
def test_bytes_that_are_no_envelope_are_undecodable(data: bytes, reason: str) -> None:
    with pytest.raises(PayloadUndecodable, match=reason):
        CODEC.decode(data)


@settings(deadline=None)
@given(st.binary())
def test_any_bytes_decode_or_are_undecodable(data: bytes) -> None:
    for candidate in (data, HEADER + data):
        try:
            CODEC.decode(candidate)
        except PayloadUndecodable:
            continue


def test_the_body_of_an_envelope_is_plain_json() -> None:
    assert bytes(open_envelope(CODEC.encode({"n": 1}))) == b'{"n":1}'


def test_a_type_that_json_cannot_tell_apart_is_a_declaration_error() -> None:
    with pytest.raises(DeclarationError, match="str-like"):
        CODEC.decode(CODEC.encode("x"), datetime | str)


def test_pydantic_is_not_imported_for_those_who_do_not_use_it() -> None:
    program = (
        "import sys; from tidemill.codec import Codec; codec = Codec();"
        "codec.decode(codec.encode([1]), set[int]);"
        "print('pydantic' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    assert done.stdout.strip() == "False"
