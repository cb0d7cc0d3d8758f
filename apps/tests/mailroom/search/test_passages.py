"""A mail cut into passages."""

import pytest

from tidemill_apps.mailroom.search.passages import MAX_CHARACTERS, MAX_PASSAGES, passages_of

LONG = "\n\n".join(
    f"Paragraph {n} tells of the tide. " + "The water turns the wheel. " * 9 for n in range(80)
)
CHINESE = "潮水落下的时候,磨坊的水轮转动,工人把谷物倒进石磨。" * 100


def texts(subject: str, text: str) -> list[str]:
    return [passage.text for passage in passages_of("m", subject, text)]


@pytest.mark.parametrize("text", [LONG, CHINESE, LONG + CHINESE, "x" * 5000, "é\U0001f30a" * 900])
@pytest.mark.parametrize("subject", ["", "Tides", "潮" * 900])
def test_passages_are_short_few_and_begin_with_the_subject(subject: str, text: str) -> None:
    cut = texts(subject, text)
    assert 1 < len(cut) <= MAX_PASSAGES
    assert all(len(piece) <= MAX_CHARACTERS for piece in cut)
    assert all(piece.startswith(subject[:100]) for piece in cut)
    assert all(piece.encode().decode() == piece for piece in cut)


def test_the_text_of_a_mail_is_in_its_passages_in_order() -> None:
    told = CHINESE[:2000]
    assert "".join(piece.removeprefix("潮\n\n") for piece in texts("潮", told)) == told


def test_cuts_are_where_the_sense_breaks() -> None:
    assert all(piece.startswith("Paragraph") for piece in texts("", LONG))


def test_quotations_and_the_signature_are_left_out_while_there_is_other_text() -> None:
    answer = "I agree with you.\n\n> The mill is old.\n> Very old.\n\n-- \nAnn, miller\n"
    [piece] = texts("Re: Mill", answer)
    assert piece == "Mill\n\nI agree with you."
    [quoted] = texts("Re: Mill", "> The mill is old.\n")
    assert "The mill is old." in quoted


@pytest.mark.parametrize(
    "subject", ["Re: The mill", "RE: Re[2]: Fwd: The mill", "回复：转发: The  mill", "The mill"]
)
def test_a_subject_loses_what_answering_puts_before_it(subject: str) -> None:
    assert texts(subject, "") == ["The mill"]


def test_a_mail_without_any_letter_has_no_passage() -> None:
    assert passages_of("m", "", "") == passages_of("m", "--", "12:30\n***") == ()
    assert texts("Tides", "----\n****") == ["Tides"]


def test_the_same_mail_has_the_same_ids_and_another_one_others() -> None:
    first = [passage.id for passage in passages_of("m", "Tides", LONG)]
    assert first == [passage.id for passage in passages_of("m", "Tides", LONG)]
    assert len(set(first)) == len(first)
    assert not set(first) & {passage.id for passage in passages_of("n", "Tides", LONG)}
    changed = LONG.replace("Paragraph 7 tells", "Paragraph 7 sings")
    others = [passage.id for passage in passages_of("m", "Tides", changed)]
    assert sum(one != other for one, other in zip(first, others, strict=True)) == 1


def test_smaller_passages_may_be_asked_for_and_larger_ones_not() -> None:
    text = " ".join(f"Sentence number {number} is about the harbour." for number in range(60))
    for asked, most in ((250, 250), (10, 200), (5000, 500)):
        longest = max(len(each.text) for each in passages_of("m", "Harbour", text, asked))
        assert most - 60 < longest <= most
