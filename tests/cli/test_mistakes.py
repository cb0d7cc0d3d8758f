from pathlib import Path

import pytest

from tests.cli.conftest import APP, Shop

UNKNOWN = "01a200d6-322c-779d-b9ac-e8720a78c99c"


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        ("status", 2, "which engine? Name it with --engine URL or TIDEMILL_URL"),
        ("enqueue add", 2, "which application? Name it with -A module:name"),
        ("status -A shop", 2, "-A shop: write it as module:name, such as shop.tasks:app"),
        ("status -A nowhere:app", 2, "there is no module nowhere here"),
        ("status -A shop.tasks:app", 2, "there is no module shop.tasks here"),
        ("status -A shop:mill", 2, "shop has no mill; applications in it: app"),
        ("status -A shop:not_an_app", 2, "shop:not_an_app is a int, not a Tidemill application"),
        ("status -A broken:app", 2, "importing broken failed at"),
        ("status -A needy:app", 2, "ModuleNotFoundError: No module named 'not_installed'"),
        ("status --engine postgrr://x", 2, "'postgrr://' names no engine"),
        ("status --engine sqlite:////no/such/folder/x.db", 4, "the folder /no/such/folder"),
        ("status --engine sqlite:////proc/x.db", 4, "/proc/x.db cannot be opened"),
        ("status --engine sqlite:///junk.db", 4, "junk.db is not a SQLite database"),
        ("status --engine sqlite:///.", 4, "it is a folder; name a file in it"),
        ("enqueue nope -A shop:app", 3, "no task type is called 'nope' (declared: add, boom"),
        ("enqueue add -A shop:app", 2, "the payload of add is not valid at a"),
        ('enqueue add -A shop:app -p {"a":"x"}', 2, "at a: expected int, got str"),
        ('enqueue add -A shop:app -p {"a":1,"c":2}', 2, "at c: object contains unknown field c"),
        ("enqueue add -A shop:app -p {", 2, "the payload is not JSON: Expecting property name"),
        ("enqueue add -A shop:app -p [1]", 2, "must be a JSON object of arguments by name"),
        ('enqueue add -A shop:app -p {"a":1} --priority 99', 2, "not within 0..10"),
        ('enqueue add -A shop:app -p {"a":1} --queue a/b', 2, "'a/b' cannot name a queue"),
        ('enqueue add -A shop:app -p {"a":1} --id 7', 2, "'7' is not a UUID"),
        ("worker -A shop:app -Q a/b", 2, "'a/b' cannot name a queue"),
        ("task show 7 --engine sqlite:///shop.db", 2, "'7' is not a task id: those are UUIDs"),
        (f"task show {UNKNOWN} --engine sqlite:///shop.db", 3, f"there is no task {UNKNOWN}"),
        (f"task logs {UNKNOWN} --engine sqlite:///shop.db", 3, f"there is no task {UNKNOWN}"),
        (f"task retry {UNKNOWN} --engine sqlite:///shop.db", 3, f"there is no task {UNKNOWN}"),
        (f"task cancel {UNKNOWN} --engine sqlite:///shop.db", 3, f"there is no task {UNKNOWN}"),
        ("queue pause nope --engine sqlite:///shop.db", 3, "there is no queue called 'nope'"),
        ("queue purge nope --engine sqlite:///shop.db", 3, "there is no queue called 'nope'"),
        ("failed retry --engine sqlite:///shop.db", 2, "name ids, or say --all"),
        ("--lang fr status", 2, "--lang fr: there are texts in en, zh-Hans"),
    ],
)
def test_a_mistake_is_told_in_one_line(shop: Shop, words: str, code: int, told: str) -> None:
    (shop.folder / "broken.py").write_text("1 / 0\n", "utf-8")
    (shop.folder / "needy.py").write_text("import not_installed\n", "utf-8")
    (shop.folder / "junk.db").write_text("This is a letter, not a database. " * 100, "utf-8")
    said = shop.here(*words.split())
    assert said.err.startswith("error: ")
    assert told in said.err
    assert said.err.count("\n") == 1
    assert (said.code, said.out) == (code, "")


@pytest.mark.parametrize(
    ("words", "english", "chinese"),
    [
        ("tsk", "No such command 'tsk'. Did you mean 'task'?", "没有这个命令：'tsk'。"),
        ("task", "Missing command.", "缺少命令。"),
        ("task show", "Missing argument 'ID'.", "缺少 'ID'。"),
        ("task show a b", "Got unexpected extra argument(s) (b)", "多余的参数：b"),
        ("task ls --foo", "No such option: --foo", "没有这个选项：--foo"),
        ("task ls --limit x", "Invalid value for '--limit'", "'--limit' 的值不正确：须为整数"),
        ("task ls --limit 0", "greater than or equal to 1", "'--limit' 的值不正确：不得小于 1"),
        ("task ls --state x", "'x' is not one of 'scheduled'", "'x' 不在 'scheduled'"),
        ("-o yaml status", "'yaml' is not one of 'table'", "'yaml' 不在 'table', 'json'"),
        (
            "bench drain --tasks",
            "Option '--tasks' requires an argument",
            "选项 '--tasks' 需要一个值",
        ),
    ],
)
def test_wrong_usage_is_told_in_the_language_of_the_run(
    shop: Shop, words: str, english: str, chinese: str
) -> None:
    for language, told, hint in (
        ("en", english, "See tidemill --help.\n"),
        ("zh", chinese, "用法见 tidemill --help。\n"),
    ):
        said = shop.call("--lang", language, *words.split())
        assert said.code == 2
        assert told in said.err
        assert said.err.endswith(hint)
        assert said.err.count("\n") == 2


def test_debug_adds_the_traceback(shop: Shop) -> None:
    said = shop.call("task", "show", UNKNOWN, "--debug")
    assert said.code == 3
    assert said.err.startswith("Traceback (most recent call last):")
    assert said.err.endswith(
        "error: " + f"there is no task {UNKNOWN}: it never existed, or it was pruned\n"
    )


def test_a_read_only_file_is_refused(shop: Shop, tmp_path: Path) -> None:
    file = tmp_path / "readonly.db"
    assert shop.call("migrate").code == 0
    file.write_bytes((tmp_path / "shop.db").read_bytes())
    file.chmod(0o444)
    said = shop.program(
        "enqueue", "add", "-p", '{"a": 1}', "-A", APP, "--engine", f"sqlite:///{file}"
    )
    refused = (4, f"error: {file} cannot be written: give this user write access to it\n")
    # The superuser may write what nobody else may.
    assert (said.code, said.err) in (refused, (0, ""))


def test_a_huge_payload_is_refused_with_its_size(shop: Shop) -> None:
    text = '{"a": 1, "b": "' + "x" * 64 * 1024 * 1024 + '"}'
    said = shop.program("enqueue", "add", "-A", APP, "-p", "-", text=text)
    assert said.code == 2
    assert "has 67,108,8" in said.err
    assert "the limit is 1,048,576" in said.err
    assert said.err.count("\n") == 1
    assert shop.call("task", "ls", "-o", "json").json["tasks"] == []


def test_a_closed_pipe_ends_quietly(shop: Shop) -> None:
    shop.enqueue(*(shop.new() for _ in range(500)))
    program = shop.start("task", "ls", "--engine", shop.url, "--limit", "500")
    assert program.stdout is not None
    assert program.stderr is not None
    program.stdout.read(1)
    program.stdout.close()
    assert program.stderr.read() == ""
    assert program.wait() == 1
