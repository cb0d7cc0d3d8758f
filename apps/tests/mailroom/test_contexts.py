"""A mail belongs to a context by its words or by who takes part."""

import pytest

from apps.tests.mailroom.conftest import Opens
from tidemill import Conflict, NotFound
from tidemill_apps.mailroom.accounts import user_named
from tidemill_apps.mailroom.contexts import (
    NewContext,
    SmartContext,
    add_context,
    contexts_of,
    delete_context,
    match,
)


def context(*keywords: str, stakeholders: tuple[str, ...] = ()) -> SmartContext:
    made = NewContext("Mill", keywords, stakeholders)
    return SmartContext("1", made.name, made.keywords, made.stakeholders)


@pytest.mark.parametrize(
    ("keyword", "subject", "text", "found"),
    [
        ("Perl", "Learning perl", "", True),
        ("perl", "", "a string of\nPERL.", True),
        ("perl", "Perls before swine", "superl", False),
        ("c++", "", "I write C++ today", True),
        ("c", "", "I write C++ today", True),
        ("sluice gate", "", "The sluice\n  gate broke", True),
        ("水闸", "关于水闸维修的通知", "", True),
        ("q3 预算", "", "请看Q3 预算表", True),
        ("q3 预算", "", "faq3 预算", False),
        ("50%", "", "up to 50% off", True),
        ("a.b", "", "axb", False),
    ],
)
def test_words_of_letters_stand_by_themselves_and_chinese_ones_anywhere(
    keyword: str, subject: str, text: str, found: bool
) -> None:
    matched = match([context(keyword)], subject, text, ())
    assert [each.by for each in matched] == ([keyword.lower()] if found else [])


def test_a_stakeholder_matches_whoever_writes_or_gets_the_mail() -> None:
    mill = context("gate", stakeholders=("Mo@Mill.example",))
    assert match([mill], "Hello", "", ["ann@mill.example", "mo@mill.example"])[0].by == (
        "mo@mill.example"
    )
    assert match([mill], "The gate", "", ["mo@mill.example"])[0].by == "gate"
    assert match([mill], "Hello", "", ["amo@mill.example", ""]) == ()


@pytest.mark.parametrize(
    ("name", "keywords"), [("", ("a",)), ("x" * 201, ("a",)), ("a", ()), ("a", (" ",))]
)
def test_a_context_that_no_mail_could_belong_to_is_refused(
    name: str, keywords: tuple[str, ...]
) -> None:
    with pytest.raises(ValueError, match=r"name|keywords"):
        NewContext(name, keywords)


async def test_a_context_is_its_users_and_has_one_name(opens: Opens) -> None:
    async with opens() as room:
        async with room.database.writing() as session:
            ann, bob = await user_named(session, "ann"), await user_named(session, "bob")
            made = await add_context(session, ann, NewContext("  Mill  works ", ("Gate", "gate ")))
            await add_context(session, bob, NewContext("Mill works", ("pond",)))
        assert (made.name, made.keywords) == ("Mill works", ("gate",))
        async with room.database.writing() as session:
            assert await contexts_of(session, ann) == [made]
            assert await contexts_of(session, bob, made.id) == []
            with pytest.raises(Conflict, match="Mill works"):
                await add_context(session, ann, NewContext("Mill works", ("wheel",)))
            with pytest.raises(NotFound):
                await delete_context(session, bob, made.id)
            await delete_context(session, ann, made.id)
            assert await contexts_of(session, ann) == []
