"""The configuration as the command line uses and shows it."""

from pathlib import Path

import pytest

from tests.cli.conftest import Shop

TEXT = """
app: shop:app
engine:
  url: sqlite:///configured.db
worker:
  concurrency: 7
redis:
  addr: cache:6379
  password: open-sesame
database:
  dsn: host=db password='also secret' user=me
"""


@pytest.fixture
def configured(shop: Shop) -> Shop:
    (shop.folder / "tidemill.yaml").write_text(TEXT, "utf-8")
    return shop


def settings(shop: Shop, *words: str, **env: str) -> dict[str, tuple[object, str]]:
    said = shop.program("config", "show", "-o", "json", *words, env=env)
    assert said.code == 0, said.err
    return {each["name"]: (each["value"], each["from"]) for each in said.json["settings"]}


def test_the_file_of_the_folder_names_application_and_engine(configured: Shop) -> None:
    said = configured.program("enqueue", "add", "-p", '{"a": 1}')
    assert said.code == 0, said.err
    assert (configured.folder / "configured.db").exists()
    assert not (configured.folder / "shop.db").exists()


def test_another_file_is_named_by_flag_or_environment(configured: Shop) -> None:
    other = configured.folder / "other.yaml"
    other.write_text("engine: {url: 'sqlite:///other.db'}", "utf-8")
    for words, env in ((["--config", "other.yaml"], {}), ([], {"TIDEMILL_CONFIG": str(other)})):
        assert settings(configured, *words, **env)["engine.url"] == (
            "sqlite:///other.db",
            ("other.yaml" if words else str(other)) + ":1:15",
        )


def test_flags_win_over_the_environment_and_that_over_the_file(configured: Shop) -> None:
    env = {"TIDEMILL_URL": "sqlite:///env.db", "TIDEMILL_WORKER__CONCURRENCY": "8"}
    shown = settings(configured, "--engine", "sqlite:///flag.db", **env)
    assert shown["engine.url"] == ("sqlite:///flag.db", "flag")
    assert shown["worker.concurrency"] == (8, "TIDEMILL_WORKER__CONCURRENCY")
    assert settings(configured, **env)["engine.url"] == ("sqlite:///env.db", "TIDEMILL_URL")


def test_what_neither_says_is_the_applications(configured: Shop) -> None:
    (configured.folder / "shop.py").write_text(
        "from tidemill import Settings, Tidemill, WorkerSettings\n"
        "app = Tidemill(settings=Settings(worker=WorkerSettings(concurrency=3, threads=2)))\n",
        "utf-8",
    )
    shown = settings(configured)
    assert shown["worker.concurrency"] == (7, "tidemill.yaml:6:16")
    assert shown["worker.threads"] == (2, "code")
    assert shown["worker.heartbeat"] == (5, "default")


def test_secrets_are_not_shown(configured: Shop) -> None:
    for form in ("table", "json"):
        said = configured.program("config", "show", "-o", form)
        assert "open-sesame" not in said.out
        assert "also secret" not in said.out
        assert "***" in said.out


def test_a_worker_works_as_the_file_says_unless_flags_say_otherwise(configured: Shop) -> None:
    for words, concurrency in (([], "7"), (["-c", "9"], "9")):
        worker = configured.start("-o", "jsonl", "worker", *words)
        heard = configured.hear(worker, "WorkerStarted")
        assert f'"concurrency":{concurrency}' in heard
        assert configured.stop(worker).code == 0


def test_a_wrong_file_stops_every_command_but_those_that_look_at_it(configured: Shop) -> None:
    (configured.folder / "tidemill.yaml").write_text("worker: {threads: x}\nnope: 1", "utf-8")
    said = configured.program("queue", "ls")
    assert said.code == 2
    assert said.err == (
        "error: tidemill.yaml:1:10: worker.threads must be a whole number, not text "
        "(and 1 more: tidemill config check)\n"
    )
    checked = configured.program("config", "check", "-o", "json")
    assert checked.code == 2
    assert [(each["line"], each["column"]) for each in checked.json["mistakes"]] == [
        (1, 10),
        (2, 1),
    ]


def test_a_right_file_is_told_to_be_right(configured: Shop, tmp_path: Path) -> None:
    right = tmp_path / "right.yaml"
    right.write_text("worker: {threads: 3}", "utf-8")
    said = configured.program("config", "check", str(right))
    assert (said.code, said.out) == (0, "nothing is wrong; 1 settings are said\n")
