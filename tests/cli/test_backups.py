from pathlib import Path

from tests.cli.conftest import APP, Shop
from tidemill.outcome import Completed, Failed
from tidemill.testing.builders import BROKE


def _fill(shop: Shop) -> list[str]:
    words = [*f"schedule add tick add -A {APP} --every 5m -p".split(), '{"a": 1}']
    assert shop.program(*words, "--engine", shop.url).code == 0
    return [
        *shop.end(shop.new(), shop.new(), outcome=Completed()),
        *shop.end(shop.new(), outcome=Failed(BROKE)),
        *shop.enqueue(shop.new(queue="mail")),
    ]


def test_a_backup_restores_into_an_empty_engine(shop: Shop, tmp_path: Path) -> None:
    ids = _fill(shop)
    said = shop.call("backup", "b.gz", "-o", "json")
    assert said.code == 0
    assert said.err.splitlines()[-1] == "writing: 4 of 4"
    held = {name: said.json[name] for name in ("file", "engine", "tasks", "documents", "missing")}
    assert held == {"file": "b.gz", "engine": "sqlite", "tasks": 4, "documents": 1, "missing": 0}
    other = f"sqlite:///{tmp_path / 'other.db'}"
    restored = shop.call("restore", "b.gz", "--engine", other, "-o", "json")
    assert restored.code == 0
    assert (restored.json["restored"], restored.json["known"]) == (4, 0)
    assert restored.err.splitlines()[-1] == "restoring: 4 of 4"
    listed = shop.call("task", "ls", "--engine", other, "-o", "json").json["tasks"]
    assert [task["id"] for task in listed] == sorted(ids, reverse=True)
    there = shop.call("schedule", "ls", "--engine", other, "-o", "json").json["schedules"]
    assert [each["name"] for each in there] == ["tick"]
    page = shop.call("backup", "--verify", "b.gz").out
    assert "tasks                    4\n" in page


def test_an_engine_in_use_is_filled_only_when_that_is_said(shop: Shop) -> None:
    _fill(shop)
    assert shop.call("backup", "b.gz").code == 0
    said = shop.call("restore", "b.gz")
    assert (said.code, said.out) == (1, "")
    assert "holds 4 tasks and 1 schedules already" in said.err
    assert said.err.endswith("; here that is --into-used\n")
    again = shop.call("restore", "b.gz", "--into-used", "-o", "json").json
    assert (again["restored"], again["known"]) == (0, 4)


def test_a_file_that_is_cut_off_is_refused_before_anything_is_written(shop: Shop) -> None:
    _fill(shop)
    assert shop.call("backup", "b.gz").code == 0
    whole = Path("b.gz").read_bytes()
    Path("b.gz").write_bytes(whole[: len(whole) // 2])
    verified = shop.call("backup", "--verify", "b.gz")
    assert (verified.code, verified.out) == (1, "")
    assert verified.err.startswith("error: b.gz ")
    assert "备份不可用：" in shop.call("backup", "--verify", "b.gz", "--lang", "zh").err
    other = ["--engine", "sqlite:///other.db"]
    assert shop.call("restore", "b.gz", *other).code == 1
    assert shop.call("task", "ls", *other, "-o", "json").json["tasks"] == []


def test_a_check_needs_no_engine(shop: Shop) -> None:
    assert shop.program("backup", "b.gz", "--engine", shop.url).code == 0
    assert shop.program("backup", "--verify", "b.gz").code == 0
    assert shop.program("backup", "--verify", "nope.gz").code == 2
    assert shop.program("backup", "b.gz").code == 2


def test_a_file_that_cannot_be_written_is_refused(shop: Shop) -> None:
    said = shop.call("backup", "/no/such/folder/b.gz")
    assert said.code == 2
    assert said.err.startswith("error: /no/such/folder/b.gz cannot be written")
