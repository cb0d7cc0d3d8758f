"""Signatures: calls become payloads, payloads become arguments, mistakes name their parameter."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Generic, NoReturn, TypeVar
from uuid import UUID, uuid4

import msgspec
import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidemill.codec import HEADER, Codec
from tidemill.errors import (
    DeclarationError,
    PayloadInvalid,
    PayloadTooLarge,
    PayloadUndecodable,
    ResultInvalid,
)
from tidemill.signature import Signature

T = TypeVar("T")


class Context(Generic[T]):
    """Stands for what a worker injects."""


class Snooze(msgspec.Struct, frozen=True):
    """Stands for a value that is not a result."""


@dataclass
class Address:
    street: str
    number: int


class Profile(pydantic.BaseModel):
    name: str
    age: int


FALLBACK = Address("Main", 1)


async def send(
    to: str, count: int = 1, *, when: datetime | None = None, address: Address = FALLBACK
) -> int:
    return len(to) + count


def of(function: Callable[..., object], **options: Any) -> Signature:
    return Signature.of(function, task_type="mail.send", context=Context, **options)


SEND = of(send)


def test_arguments_bind_by_position_and_name_and_load_by_name() -> None:
    when = datetime(2026, 1, 2, tzinfo=UTC)
    payload = SEND.bind(("ada",), {"when": when, "address": Address("Side", 2)})
    assert SEND.load(payload) == {
        "to": "ada",
        "count": 1,
        "when": when,
        "address": Address("Side", 2),
    }
    assert payload[len(HEADER) :] == (
        b'{"to":"ada","when":"2026-01-02T00:00:00Z","address":{"street":"Side","number":2}}'
    )


def test_a_default_is_the_functions_own_and_not_in_the_payload() -> None:
    payload = SEND.bind(("ada",), {})
    assert payload[len(HEADER) :] == b'{"to":"ada"}'
    assert SEND.load(payload)["address"] is FALLBACK


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"])), st.integers(), st.none() | st.datetimes())
def test_what_binds_loads_equal(to: str, count: int, when: datetime | None) -> None:
    arguments = {"to": to, "count": count, "when": when, "address": FALLBACK}
    assert SEND.load(SEND.bind((), arguments)) == arguments


@pytest.mark.parametrize(
    ("args", "kwargs", "field", "reason"),
    [
        (("ada", "abc"), {}, "count", "expected int, got str"),
        (("ada", True), {}, "count", "expected int, got bool"),
        (("ada", 1.5), {}, "count", "expected int, got float"),
        (("ada", None), {}, "count", "expected int, got null"),
        ((b"ada",), {}, "to", "expected str, got bytes"),
        ((uuid4(),), {}, "to", "expected str, got UUID"),
        ((None,), {}, "to", "expected str"),
        ((), {}, "to", "missing"),
        (("ada",), {"cc": "bob"}, "cc", "unknown field"),
        (("ada",), {"to": "bob"}, "to", "given twice"),
        (("ada", 1, None), {}, None, "takes 2 positional arguments, got 3"),
        (("ada",), {"when": "soon"}, "when", "invalid RFC3339"),
        (("ada",), {"address": Address("Side", "x")}, "address.number", "expected int, got str"),  # type: ignore[arg-type] # the mistake of the test
        (("ada",), {"address": {"street": "Side"}}, "address.number", "missing"),
        (("ada",), {"count": object()}, "count", "object has no JSON form"),
        (("ada",), {"count": float("nan")}, "count", "NaN"),
    ],
)
def test_a_wrong_argument_is_refused_and_named(
    args: tuple[object, ...], kwargs: dict[str, object], field: str | None, reason: str
) -> None:
    with pytest.raises(PayloadInvalid, match=reason) as raised:
        SEND.bind(args, kwargs)
    assert raised.value.field == field
    assert raised.value.task_type == "mail.send"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b'{"to":"ada","count":"x"}', "count"),
        (b'{"to":"ada","old":1}', "old"),
        (b'{"count":1}', "to"),
        (b"[]", None),
    ],
)
def test_a_stored_payload_is_checked_again(body: bytes, field: str | None) -> None:
    with pytest.raises(PayloadInvalid) as raised:
        SEND.load(HEADER + body)
    assert raised.value.field == field
    assert raised.value.task_type == "mail.send"


def test_bytes_that_are_no_payload_are_undecodable() -> None:
    with pytest.raises(PayloadUndecodable):
        SEND.load(b"junk")


def test_a_payload_over_the_limit_names_its_task_type() -> None:
    with pytest.raises(PayloadTooLarge, match=r"mail\.send has 1,0\d\d bytes, the limit is 1,000"):
        of(send, codec=Codec(limit=1000)).bind(("x" * 1000,), {})


def test_an_older_payload_gets_the_default_of_a_newer_parameter() -> None:
    def older(to: str) -> None: ...
    def newer(to: str, cc: tuple[str, ...] = ()) -> None: ...

    assert of(newer).load(of(older).bind(("ada",), {})) == {"to": "ada", "cc": ()}


def test_double_star_takes_further_fields_of_its_type() -> None:
    def log(level: str, **values: UUID) -> None: ...

    signature, value = of(log), uuid4()
    payload = signature.bind(("info",), {"request": value})
    assert signature.load(payload) == {"level": "info", "request": value}
    with pytest.raises(PayloadInvalid, match="invalid UUID") as raised:
        signature.bind(("info",), {"request": "x"})
    assert raised.value.field == "request"


def test_double_star_names_the_place_inside_a_further_field() -> None:
    def log(**values: list[Address]) -> None: ...

    with pytest.raises(PayloadInvalid) as raised:
        of(log).bind((), {"homes": [FALLBACK, {"street": "x", "number": "y"}]})
    assert raised.value.field == "homes[1].number"


def test_a_first_parameter_annotated_with_the_context_is_not_in_the_payload() -> None:
    def plain(ctx: Context, to: str) -> None: ...  # type: ignore[type-arg] # as users may write it
    def generic(ctx: "Context[int]", to: str) -> None: ...

    for function in (plain, generic):
        signature = of(function)
        assert signature.context_parameter == "ctx"
        assert signature.parameters == ("to",)
        assert signature.load(signature.bind(("ada",), {})) == {"to": "ada"}
        with pytest.raises(PayloadInvalid, match="unknown field"):
            signature.bind(("ada",), {"ctx": 1})
    assert SEND.context_parameter is None


def test_double_star_cannot_smuggle_in_a_context() -> None:
    def log(ctx: Context[int], **values: int) -> None: ...

    with pytest.raises(PayloadInvalid, match="injected") as raised:
        of(log).bind((), {"ctx": 1})
    assert raised.value.field == "ctx"


def star(*names: str) -> None: ...
def only(name: str, /) -> None: ...
def late(name: str, ctx: Context[int]) -> None: ...
def vague(name: datetime | str) -> None: ...
def vague_result(name: str) -> Address | Profile: ...  # type: ignore[empty-body] # never called
def lost(name: str) -> None: ...


lost.__annotations__["name"] = "Nowhere"


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (star, r"takes \*names"),
        (only, "positional-only parameter name"),
        (late, "context as ctx: it must come first"),
        (vague, "str-like"),
        (vague_result, "the result of mail.send"),
        (lost, "'Nowhere' is not defined"),
    ],
)
def test_a_function_that_no_payload_can_call_is_refused(
    function: Callable[..., object], reason: str
) -> None:
    with pytest.raises(DeclarationError, match=reason) as raised:
        of(function)
    assert "mail.send" in str(raised.value)


def test_annotations_may_be_strings_and_carry_constraints() -> None:
    namespace: dict[str, Any] = {}
    source = (
        "from __future__ import annotations\n"
        "from typing import Annotated\n"
        "import msgspec\n"
        "def resize(width: Annotated[int, msgspec.Meta(gt=0)]) -> bytes: ...\n"
    )
    exec(compile(source, "elsewhere", "exec"), namespace)  # noqa: S102 - a module with that future
    signature = of(namespace["resize"])
    assert signature.load(signature.bind((5,), {})) == {"width": 5}
    with pytest.raises(PayloadInvalid, match=">= 1"):
        signature.bind((0,), {})
    assert signature.decode_result(signature.encode_result(b"\x00\xff")) == b"\x00\xff"


def test_a_parameter_without_an_annotation_takes_whatever_json_can_say() -> None:
    function: Any = lambda value, other=None: None  # noqa: ARG005, E731 - has no annotations
    signature = of(function)
    assert signature.load(signature.bind(([1, {"a": None}],), {})) == {
        "value": [1, {"a": None}],
        "other": None,
    }


def test_a_pydantic_model_is_a_parameter_and_a_result() -> None:
    def rename(profile: Profile, name: str | None = None) -> list[Profile]:
        return [profile]

    signature, ada = of(rename), Profile(name="Ada", age=36)
    assert signature.load(signature.bind((ada,), {})) == {"profile": ada, "name": None}
    assert signature.decode_result(signature.encode_result([ada])) == [ada]
    with pytest.raises(PayloadInvalid, match="expected str, got bytes"):
        signature.bind((ada, b"Ada"), {})
    with pytest.raises(PayloadInvalid, match="valid integer") as raised:
        signature.bind(({"name": "Ada", "age": "old"},), {})
    assert raised.value.field == "profile.age"


@pytest.mark.parametrize("name", ["self", "cls", "type", "name", "payload", "_private", "mro"])
def test_a_parameter_may_have_any_name(name: str) -> None:
    namespace: dict[str, Any] = {}
    exec(f"def function(*, {name}: int = 1) -> None: ...", namespace)  # noqa: S102 - our own text
    signature = of(namespace["function"])
    assert signature.load(signature.bind((), {name: 5})) == {name: 5}


def test_a_bound_method_is_a_function_without_its_self() -> None:
    class Service:
        def run(self, n: int) -> None: ...

    assert of(Service().run).parameters == ("n",)


def test_a_result_comes_back_as_its_annotation() -> None:
    assert SEND.decode_result(SEND.encode_result(5)) == 5
    with pytest.raises(ResultInvalid, match="expected int, got str"):
        SEND.encode_result("5")
    with pytest.raises(ResultInvalid, match="expected int, got str"):
        SEND.decode_result(Codec().encode("5"))
    with pytest.raises(ResultInvalid, match=r"the result of mail\.send is not valid.*no JSON form"):
        SEND.encode_result(object())


def test_a_result_over_the_limit_is_invalid() -> None:
    def text() -> str:
        return ""

    with pytest.raises(ResultInvalid, match="limit is 10"):
        of(text, codec=Codec(limit=10)).encode_result("x" * 10)


def either() -> Address | Snooze: ...  # type: ignore[empty-body] # never called
def maybe() -> Address | Snooze | None: ...
def only_snooze() -> Snooze: ...  # type: ignore[empty-body] # never called
def never() -> NoReturn:
    raise AssertionError


def unknown(n: int): ...  # type: ignore[no-untyped-def] # noqa: ANN201 - the point of the test


@pytest.mark.parametrize(
    ("function", "value"),
    [(either, FALLBACK), (maybe, FALLBACK), (maybe, None), (only_snooze, None), (never, None)]
    + [(unknown, value) for value in (None, 1, ["a"])],
)
def test_what_is_not_a_result_does_not_matter_for_the_result(
    function: Callable[..., object], value: object
) -> None:
    signature = of(function, not_results=(Snooze,))
    assert signature.decode_result(signature.encode_result(value)) == value


def test_the_payload_type_has_a_json_schema() -> None:
    schema = msgspec.json.schema(of(resize).payload_type)
    assert schema["$defs"]["Payload"]["required"] == ["width"]


def resize(width: Annotated[int, msgspec.Meta(gt=0)], title: str = "") -> None: ...
