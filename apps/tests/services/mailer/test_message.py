"""Templates as mails."""

from pathlib import Path

import pytest

from tidemill import Permanent
from tidemill_apps.services.mailer import Letter, Templates
from tidemill_apps.services.mailer.message import addressed, message_id


def write(folder: Path, **files: str) -> Templates:
    (folder / "hello").mkdir()
    for name, text in files.items():
        (folder / "hello" / name.replace("__", ".")).write_text(text)
    return Templates(folder)


def test_values_are_escaped_in_html_and_nowhere_else(tmp_path: Path) -> None:
    templates = write(
        tmp_path,
        en__subject__txt="To {{ who }}",
        en__txt="Hi {{ who }}",
        en__html="<p>{{ who }}</p>",
    )
    letter = templates.letter("hello", "en", {"who": "<Ana & Bo>"})
    assert letter == Letter("To <Ana & Bo>", "Hi <Ana & Bo>", "<p>&lt;Ana &amp; Bo&gt;</p>")


def test_a_template_without_html_is_a_mail_of_text(tmp_path: Path) -> None:
    templates = write(tmp_path, en__subject__txt="Hi", en__txt="Hello")
    letter = templates.letter("hello", "en", {})
    mail = addressed(letter, sender="t@example.org", recipient="ana@example.org", key="k")
    assert mail.get_content_type() == "text/plain"


@pytest.mark.parametrize(
    ("subject", "text", "complaint"),
    [
        ("Hi {{ name }}", "x", "'name' is undefined"),
        ("Hi", "{{ name }}", "'name' is undefined"),
        ("Hi", "{% if %}", "TemplateSyntaxError"),
        ("a\nb", "x", "one line"),
        (" ", "x", "one line"),
    ],
)
def test_a_template_that_cannot_be_rendered_is_a_permanent_error_that_names_it(
    tmp_path: Path, subject: str, text: str, complaint: str
) -> None:
    templates = write(tmp_path, en__subject__txt=subject, en__txt=text)
    with pytest.raises(Permanent, match=complaint) as refused:
        templates.letter("hello", "en", {})
    assert "'hello' in 'en'" in str(refused.value)
    assert refused.value.code == "template"


def test_a_subject_takes_no_second_line_from_a_value(tmp_path: Path) -> None:
    templates = write(tmp_path, en__subject__txt="Hi {{ name }}", en__txt="x")
    with pytest.raises(Permanent, match="one line"):
        templates.letter("hello", "en", {"name": "Ana\r\nBcc: bo@example.org"})


def test_a_language_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(Permanent, match="'zh'"):
        write(tmp_path, en__subject__txt="Hi", en__txt="x").letter("hello", "zh", {})


def test_a_message_id_follows_from_the_key_whatever_that_holds() -> None:
    first = message_id("alert <1>@\n中文", "Ana <ana@mail.example.org>")
    assert first == message_id("alert <1>@\n中文", "bo@mail.example.org")
    assert first != message_id("alert <2>@\n中文", "bo@mail.example.org")
    assert first.isascii()
    assert first.endswith("@mail.example.org>")


def test_an_application_s_template_comes_before_the_one_of_all(tmp_path: Path) -> None:
    (tmp_path / "notice").mkdir()
    (tmp_path / "notice" / "en.txt").write_text("mine")
    context = {"title": "T", "lines": [], "link": "", "application": "A"}
    assert Templates(tmp_path).letter("notice", "en", context).text == "mine"
    assert Templates(tmp_path).letter("notice", "zh", context).text.startswith("T\n")
