import ast
import string
from collections.abc import Iterator
from pathlib import Path

import pytest

from tidemill import cli
from tidemill.cli.texts import LANGUAGES, Say, choose_language, texts_of
from tidemill.errors import ConfigError, TaskNotFound, TidemillError

ENGLISH = texts_of("en")
FOLDER = Path(cli.__file__).parent


def _subclasses(kind: type[TidemillError]) -> Iterator[type[TidemillError]]:
    yield kind
    for each in kind.__subclasses__():
        yield from _subclasses(each)


def _places(sentence: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(sentence) if name}


def _strings() -> set[str]:
    trees = (
        ast.parse(file.read_text("utf-8"))
        for file in FOLDER.rglob("*.py")
        if file.parent.name != "texts"
    )
    return {
        node.value
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_has_every_sentence_with_the_same_places(language: str) -> None:
    texts = texts_of(language)
    assert texts.sentences.keys() == ENGLISH.sentences.keys()
    for key, sentence in texts.sentences.items():
        assert sentence.strip()
        assert _places(sentence) == _places(ENGLISH.sentences[key]), key


def test_chinese_names_the_kind_of_every_error() -> None:
    kinds = {each.slug for each in _subclasses(TidemillError)}
    assert texts_of("zh-Hans").kinds.keys() >= kinds


def test_no_chinese_sentence_was_left_in_english() -> None:
    same = {
        key
        for key, sentence in texts_of("zh-Hans").sentences.items()
        if sentence == ENGLISH.sentences[key]
    }
    assert same == {"doctor.tidemill", "doctor.python", "doctor.sqlite"}


def test_every_sentence_is_used() -> None:
    promises = ("durability.", "order.", "atomic.", "mode.")
    composed = (*promises, "help.", "backup.", "bench.", "state.", "level.", "doctor.", "field.")
    used = _strings()
    unused = {
        key
        for key in ENGLISH.sentences
        if key not in used and not key.startswith((*composed, "option.", "event."))
    }
    assert unused == set()


def test_every_key_that_the_code_names_is_a_sentence() -> None:
    heads = {key.partition(".")[0] for key in ENGLISH.sentences if "." in key}
    named = {
        text
        for text in _strings()
        if text.count(".") in (1, 2)
        and text.partition(".")[0] in heads
        and text.replace(".", "").replace("_", "").isalpha()
        and not text.endswith((".", ".py"))
    }
    assert named - ENGLISH.sentences.keys() == {
        "bench.noop",
        "bench.stamp",
        "bench.db",
        "engine.url",
    }


@pytest.mark.parametrize(
    ("argv", "environment", "language"),
    [
        ([], {}, "en"),
        ([], {"LANG": "C.UTF-8"}, "en"),
        ([], {"LANG": "zh_CN.UTF-8"}, "zh-Hans"),
        ([], {"LC_ALL": "en_GB.UTF-8", "LANG": "zh_CN.UTF-8"}, "en"),
        (["task", "ls", "--lang", "zh"], {"LANG": "en_GB"}, "zh-Hans"),
        (["--lang=zh-Hans"], {}, "zh-Hans"),
        (["--lang", "en"], {"LANG": "zh_CN"}, "en"),
    ],
)
def test_the_flag_wins_over_the_locale(
    argv: list[str], environment: dict[str, str], language: str
) -> None:
    assert choose_language(argv, environment) == language


def test_a_language_without_texts_is_refused() -> None:
    with pytest.raises(ConfigError, match="--lang fr: there are texts in en, zh-Hans"):
        choose_language(["--lang", "fr"], {})


def test_an_error_of_the_library_is_told_by_its_kind() -> None:
    error = TaskNotFound("7")
    assert Say(ENGLISH).error(error) == str(error)
    assert Say(texts_of("zh-Hans")).error(error) == f"没有这个任务：{error}"
