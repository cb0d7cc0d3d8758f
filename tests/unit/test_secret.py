"""Declared secrets: where they are, how they are masked, and how a mask gets its secret back."""

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypedDict

import msgspec
import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidemill import AtMost, DeclarationError, PayloadInvalid, Secret, Tidemill, Unique
from tidemill.secret import (
    MASK,
    MASKED_NAMES,
    SECRETS,
    Path,
    Secrets,
    masked,
    may_show,
    secret_paths,
    secrets_of,
    unmasked,
)


class Card(msgspec.Struct, rename="camel"):
    holder: str
    card_number: Secret[str]


@dataclass
class Login:
    user: str
    key: Secret[str | int]


class Server(TypedDict):
    host: str
    pin: Secret[int]


class Pair(NamedTuple):
    name: str
    value: Secret[str]


class Account(pydantic.BaseModel):
    name: str
    code: Secret[str]
    more: list[Secret[str]] = []


class Row(msgspec.Struct, array_like=True):
    name: str
    value: Secret[str]


class Tree(msgspec.Struct):
    label: Secret[str]
    children: "list[Tree]" = []


class Plain(msgspec.Struct):
    name: str
    inner: "Plain | None" = None


@pytest.mark.parametrize(
    ("hint", "paths"),
    [
        (str, ()),
        (Any, ()),
        (Plain, ()),
        (Secret[str], ((),)),
        (Secret[str] | None, ((),)),
        (Secret[list[str]], ((),)),
        (list[Secret[str]], ((None,),)),
        (tuple[int, Secret[str]], ((None,),)),
        (tuple[Secret[int], ...], ((None,),)),
        (set[Secret[str]], ((None,),)),
        (dict[str, Secret[str]], ((None,),)),
        (dict[Secret[str], int], ((),)),
        (Card, (("cardNumber",),)),
        (list[Card] | None, ((None, "cardNumber"),)),
        (Login, (("key",),)),
        (Server, (("pin",),)),
        (Pair, ((None,),)),
        (Row, ((None,),)),
        (Account, (("code",), ("more", None))),
        (dict[str, dict[str, Card]], ((None, None, "cardNumber"),)),
        (Tree, (("label",), ("children", None))),
    ],
)
def test_declared_secrets_are_found_wherever_types_are_nested(
    hint: Any, paths: tuple[Path, ...]
) -> None:
    assert secret_paths(hint) == paths


def test_the_function_gets_the_value_as_it_is() -> None:
    app = Tidemill("memory://")

    @app.task(name="login")
    async def login(user: str, password: Secret[str], card: Card | None = None) -> Secret[str]:
        return password

    signature = login.task_type.signature
    payload = signature.bind(("ann", "hunter2"), {"card": Card("ann", "4111")})
    arguments = signature.load(payload)
    assert arguments["password"] == "hunter2"
    assert arguments["card"] == Card("ann", "4111")
    assert signature.secrets == Secrets((("password",), ("card", "cardNumber")), ((),))


def test_the_places_go_with_a_task_as_a_header() -> None:
    app = Tidemill("memory://")

    @app.task(name="login")
    async def login(user: str, password: Secret[str]) -> list[Secret[str]]:
        return [password]

    @app.task(name="plain")
    async def plain(user: str) -> None: ...

    task = login.call("ann", "hunter2").new_task()
    assert secrets_of(task.headers) == login.task_type.signature.secrets
    assert secrets_of(login.options(delay=1).call("a", "b").new_task().headers).payload
    assert plain.call("ann").new_task().headers == {}


def test_everything_is_secret_where_the_header_cannot_be_read() -> None:
    told = secrets_of({SECRETS: "{"})
    assert masked({"a": 1}, told.payload) == MASK
    assert masked([1], told.result) == MASK
    assert secrets_of({"other": "{"}) == Secrets()


@pytest.mark.parametrize(
    ("value", "paths", "shown"),
    [
        ({"a": 1}, (), {"a": 1}),
        ({"a": {"b": 1, "c": 2}}, (("a", "b"),), {"a": {"b": MASK, "c": 2}}),
        ({"a": {"b": 1}}, (("a",),), {"a": MASK}),
        ({"a": [{"b": 1}, {"b": 2}]}, (("a", None, "b"),), {"a": [{"b": MASK}, {"b": MASK}]}),
        ({"a": {"x": 1, "y": 2}}, (("a", None),), {"a": {"x": MASK, "y": MASK}}),
        ({"a": None}, (("a",),), {"a": None}),
        ({"b": 1}, (("a",),), {"b": 1}),
        ("text", ((),), MASK),
        ({"deep": [{"PassWord": "x"}]}, (), {"deep": [{"PassWord": MASK}]}),
        ({"Authorization": {"kind": "bearer"}}, (), {"Authorization": MASK}),
        ({"max_tokens": 9, "tokens": 3, "secretary": "ann"}, (), None),
    ],
)
def test_secrets_are_masked_by_place_and_by_name(
    value: Any, paths: tuple[Path, ...], shown: Any
) -> None:
    shown = msgspec.json.decode(msgspec.json.encode(value)) if shown is None else shown
    assert masked(value, paths) == shown


def test_a_value_is_masked_however_deep_it_is() -> None:
    value: Any = {"token": "x"}
    for _ in range(5_000):
        value = [value]
    shown = masked(value)
    for _ in range(5_000):
        [shown] = shown
    assert shown == {"token": MASK}


@pytest.mark.parametrize("name", sorted(MASKED_NAMES))
def test_a_look_at_the_bytes_overlooks_no_name(name: str) -> None:
    for spelled in (name, name.upper(), name.title()):
        body = msgspec.json.encode({"a": [{spelled: 1}]})
        assert not may_show(body, ())
        assert masked(msgspec.json.decode(body)) == {"a": [{spelled: MASK}]}
    assert not may_show(b'{"p\\u0061ssword" : 1}', ())
    assert not may_show(b'{"password" \t: 1}', ())
    assert may_show(b'{"a":"password"}', ())
    assert not may_show(b'{"a":1}', (("a",),))


_JSON = st.recursive(
    st.none() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "b", "password"]), inner, max_size=3)
    ),
)


@settings(deadline=None)
@given(_JSON, st.lists(st.lists(st.sampled_from(["a", "b", None]), max_size=3).map(tuple)))
def test_what_was_masked_gets_its_secrets_back(value: Any, paths: list[Path]) -> None:
    body = msgspec.json.encode(value)
    shown = masked(msgspec.json.decode(body), paths)
    assert unmasked(shown, value, paths) == value


def test_a_mask_keeps_the_secret_and_another_value_replaces_it() -> None:
    before = {"user": "ann", "pin": "1234", "cards": [{"n": "1"}, {"n": "2"}]}
    paths = (("pin",), ("cards", None, "n"))
    said = {"user": "bob", "pin": MASK, "cards": [{"n": MASK}, {"n": "3"}]}
    assert unmasked(said, before, paths) == {
        "user": "bob",
        "pin": "1234",
        "cards": [{"n": "1"}, {"n": "3"}],
    }
    assert said["pin"] == MASK
    assert unmasked({"user": MASK}, before, paths) == {"user": MASK}


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"pin": MASK}, "pin"),
        ({"cards": [{"n": MASK}]}, "cards.0.n"),
        ({"other": {"token": MASK}}, "other.token"),
    ],
)
def test_a_mask_without_a_secret_of_before_is_refused(said: Any, field: str) -> None:
    before = {"cards": [{"n": "1"}, {"n": "2"}]}
    with pytest.raises(PayloadInvalid, match="write the secret itself") as raised:
        unmasked(said, before, (("pin",), ("cards", None, "n")))
    assert raised.value.field == field


# texts


@pytest.mark.parametrize(
    ("payload", "text", "shown"),
    [
        ({"k": "hunter2"}, "wrong: hunter2!", "wrong: ***!"),
        ({"k": "a\nb\\c"}, repr({"k": "a\nb\\c"}), "{'k': '***'}"),
        ({"k": 'say "hi"'}, '{"k":"say \\"hi\\""}', '{"k":"***"}'),
        ({"k": 123456}, "no 123456", "no ***"),
        ({"k": {"x": ["abcd", True, None, 1.25]}}, "abcd 1.25 True None", "*** *** True None"),
        ({"k": ["abcd", "abcdef"]}, "abcdef", "***"),
        ({"k": "abc"}, "abc", "abc"),
        ({"other": "hunter2"}, "hunter2", "hunter2"),
    ],
)
def test_texts_show_no_declared_secret(payload: Any, text: str, shown: str) -> None:
    veil = Secrets((("k",),)).veil(payload)
    assert (veil(text) if veil else text) == shown


def test_a_veil_does_not_show_what_it_hides() -> None:
    veil = Secrets((("k",),)).veil({"k": "hunter2"})
    assert "hunter2" not in repr(veil)


# declarations and errors


@pytest.mark.parametrize(
    "options",
    [
        {"unique": "login:{password}"},
        {"unique": Unique("login:{user}:{password!r:>{user}}")},
        {"unique": "login:{card.holder}"},
        {"limit": AtMost(1, per="{card}")},
    ],
)
def test_a_key_that_names_a_secret_is_refused(options: dict[str, Any]) -> None:
    app = Tidemill("memory://")
    with pytest.raises(DeclarationError, match="keys are stored and shown as they are"):

        @app.task(name="login", **options)
        async def login(user: str, password: Secret[str], card: Card) -> None: ...


def test_a_key_of_other_values_is_fine() -> None:
    app = Tidemill("memory://")

    @app.task(name="login", unique="login:{user}", limit=AtMost(1, per="{user}"))
    async def login(user: str, password: Secret[str]) -> None: ...

    assert login.call("ann", "hunter2").new_task().unique


@pytest.mark.parametrize("value", ["hunter22", 1234567, ["hunter22"], {"hunter22": 1}])
def test_a_payload_that_is_refused_does_not_show_its_secret(value: Any) -> None:
    app = Tidemill("memory://")

    class Strict(pydantic.BaseModel):
        code: Secret[str]

        @pydantic.field_validator("code")
        @classmethod
        def right(cls, code: str) -> str:
            raise ValueError(f"{code} is wrong")

    @app.task(name="login")
    async def login(
        password: Secret[Literal["alpha", "beta"]], strict: Strict | None = None
    ) -> None: ...

    with pytest.raises(PayloadInvalid) as raised:
        login.call(password=value)
    _shows_nothing(raised.value)
    with pytest.raises(PayloadInvalid, match="is wrong") as raised:
        login.call(password="alpha", strict={"code": "hunter22"})  # type: ignore[arg-type]  # as JSON
    _shows_nothing(raised.value)


def _shows_nothing(error: BaseException) -> None:
    import traceback

    text = "".join(traceback.format_exception(error))
    shown = text.split("PayloadInvalid", 1)[-1]
    assert "hunter22" not in shown
    assert "1234567" not in shown
    assert error.__cause__ is None
