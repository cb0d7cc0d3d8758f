"""Segments: short, in order, complete."""

import pytest

from tidemill_apps.knowledge.parse import Form
from tidemill_apps.knowledge.split import MAX_CHARACTERS, split

SENTENCES = "".join(f"Sentence number {n} tells about mills. " for n in range(200))


@pytest.mark.parametrize("form", ["plain", "markdown", "pages"])
@pytest.mark.parametrize("text", [SENTENCES, "潮汐磨坊每天转两次。" * 300, "x" * 3000])
def test_no_segment_is_longer_than_the_limit_and_no_letter_is_lost(text: str, form: Form) -> None:
    segments = split(text, form)
    assert max(map(len, segments)) <= MAX_CHARACTERS
    assert "".join("".join(segments).split()) == "".join(text.split())


def test_markdown_is_cut_at_its_headings() -> None:
    text = "\n\n".join(f"## Part {n}\n\n{'Some words here. ' * 15}" for n in range(4))
    assert [segment.split("\n")[0] for segment in split(text, "markdown")] == [
        f"## Part {n}" for n in range(4)
    ]


def test_pieces_without_letters_are_left_out() -> None:
    assert split("---\n\n***\n", "markdown") == ()
