"""What cleaning takes away, and what it leaves."""

from tidemill_apps.knowledge.clean import clean
from tidemill_apps.knowledge.parse import Form, Parsed


def cleaned(text: str, form: Form = "plain") -> str:
    return clean(Parsed(text, "", form))


def test_line_ends_and_blank_lines_get_one_notation() -> None:
    assert cleaned("a\r\nb\rc  \n\n\n\n\nd\n") == "a\nb\nc\n\nd"


def test_invisible_characters_go_and_spaces_between_words_shrink() -> None:
    assert cleaned("ti\u00addal\u200b  mill\x00\x1b\ufeff\u3000\u3000x") == "tidal mill x"


def test_composed_letters_are_one_character() -> None:
    assert cleaned("cafe\u0301") == "café"


def test_indentation_and_full_width_punctuation_stay() -> None:
    assert cleaned("if x:\n        y = 1\n潮汐,磨坊。") == "if x:\n        y = 1\n潮汐,磨坊。"


def test_words_cut_at_the_end_of_a_pdf_line_are_joined_but_not_in_other_kinds() -> None:
    assert cleaned("the inter-\nnational mill-\nWheel", "pages") == "the international mill-\nWheel"
    assert cleaned("inter\ufffenational", "pages") == "international"
    assert cleaned("inter-\nnational") == "inter-\nnational"


def test_headers_and_page_numbers_of_a_pdf_go_and_its_text_stays() -> None:
    pages = [f"Tide mills\n\nSentence {word} here.\nmore {word}\nend {word}\n{n} / 4"
             for n, word in enumerate(["one", "two", "three", "four"], start=1)]  # fmt: skip
    text = cleaned("\f".join(pages), "pages")
    assert "Tide mills" not in text
    assert "/ 4" not in text
    assert text.startswith("Sentence one here.\nmore one\nend one\nSentence two here.")


def test_two_pages_are_too_few_to_call_a_line_a_header() -> None:
    assert cleaned("same\na\fsame\nb", "pages") == "same\na\nsame\nb"
