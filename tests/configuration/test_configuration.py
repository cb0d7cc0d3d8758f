"""A file and the environment become one configuration, and every mistake is told at its place."""

from datetime import timedelta
from pathlib import Path

import pytest

from tidemill.configuration import Configuration, Loaded, find, load
from tidemill.errors import ConfigError
from tidemill.settings import WorkerSettings

OF_THE_MAIL_ANALYSIS = """
server:
  port: 8080
  environment: production
  jwt:
    secret: "your-jwt-secret"
    expiration_hours: 72

database:
  dsn: "host=localhost user=echomind password=secret dbname=echomind_db port=5432 sslmode=disable"

redis:
  addr: "localhost:6380"
  password: ""
  db: 0

worker:
  concurrency: 10

ai:
  active_services:
    chat: "openai"
    embedding: "openai"
  chunk_size: 1000
  providers:
    openai:
      api_key: "your-openai-api-key"
      base_url: "https://api.openai.com/v1"

security:
  encryption_key: "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "tidemill.yaml"


def loaded(file: Path, text: str, **environment: str) -> Loaded:
    file.write_text(text, "utf-8")
    return load(file, environment)


def mistakes(file: Path, text: str, **environment: str) -> list[str]:
    found = loaded(file, text, **environment).mistakes
    return [str(each).removeprefix(f"{file.parent}/") for each in found]


def test_the_sections_of_the_mail_analysis_are_read_as_they_are(file: Path) -> None:
    told = loaded(file, OF_THE_MAIL_ANALYSIS).checked()
    assert (told.server.port, told.server.environment) == (8080, "production")
    assert (told.server.jwt.secret, told.server.jwt.expiration_hours) == ("your-jwt-secret", 72)
    assert told.database.dsn is not None
    assert told.url == "redis://localhost:6380/0"
    assert told.worker == WorkerSettings(concurrency=10)
    assert told.ai.active_services.chat == told.ai.active_services.embedding == "openai"
    assert told.ai.chunk_size == 1000
    assert told.ai.providers["openai"].base_url == "https://api.openai.com/v1"
    assert told.security.encryption_key is not None


def test_without_file_and_variables_everything_is_at_its_default() -> None:
    empty = load(None, {"PATH": "/bin", "TIDEMILL_APP": "shop:app", "TIDEMILL_MODEL_EXAMPLES": "5"})
    assert empty.checked() == Configuration()
    assert empty.given == {}
    assert {each.place for each in empty.values()} == {None}


def test_an_empty_file_and_an_empty_section_say_nothing(file: Path) -> None:
    assert loaded(file, "").checked() == Configuration()
    assert loaded(file, "worker:\nserver: {}\n# nothing\n").checked() == Configuration()


def test_the_environment_wins_over_the_file(file: Path) -> None:
    text = "worker: {concurrency: 10, threads: 4}"
    both = loaded(file, text, TIDEMILL_WORKER__CONCURRENCY="8", TIDEMILL_SERVER__PORT="9000")
    assert both.checked().worker == WorkerSettings(concurrency=8, threads=4)
    assert both.checked().server.port == 9000
    places = {each.name: str(each.place) for each in both.values() if each.place}
    assert places == {
        "worker.concurrency": "TIDEMILL_WORKER__CONCURRENCY",
        "worker.threads": f"{file}:1:36",
        "server.port": "TIDEMILL_SERVER__PORT",
    }
    assert both.said("worker") == {"concurrency": 8, "threads": 4}


def test_variables_are_read_by_the_type_of_their_setting(file: Path) -> None:
    told = load(
        None,
        {
            "TIDEMILL_REDIS__ADDR": "cache:6379",
            "TIDEMILL_REDIS__PASSWORD": "007",
            "TIDEMILL_WORKER__QUEUES": "mail, default",
            "TIDEMILL_WORKER__GRACE": "2m",
            "TIDEMILL_WORKER__MAX_TASKS": "null",
            "TIDEMILL_AI__PROVIDERS__LOCAL__BASE_URL": "http://localhost:1",
        },
    ).checked()
    assert told.redis.password == "007"
    assert told.url == "redis://:007@cache:6379/0"
    assert told.worker.queues == ("mail", "default")
    assert told.worker.grace == timedelta(minutes=2)
    assert told.worker.max_tasks is None
    assert told.ai.providers["local"].base_url == "http://localhost:1"


def test_a_password_with_signs_of_a_url_reaches_the_server_as_it_is(file: Path) -> None:
    told = loaded(file, "redis: {addr: 'h:1', password: 'a@b/c:d'}").checked()
    assert told.url == "redis://:a%40b%2Fc%3Ad@h:1/0"


def test_the_engine_wins_over_the_server(file: Path) -> None:
    text = "engine: {url: 'sqlite:///a.db'}\nredis: {addr: 'h:1'}"
    assert loaded(file, text).checked().url == "sqlite:///a.db"


@pytest.mark.parametrize(
    ("written", "meant"),
    [("45", 45), ("1.5", 1.5), ("30s", 30), ("2 min", 120), ("5m", 300), ("1h", 3600)],
)
def test_durations_are_seconds_or_have_a_unit(file: Path, written: str, meant: float) -> None:
    told = loaded(file, f"worker: {{grace: {written}}}").checked()
    assert told.worker.grace == timedelta(seconds=meant)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "worker:\n  concurrenci: 10",
            "tidemill.yaml:2:3: there is no setting worker.concurrenci: did you mean concurrency?",
        ),
        (
            "smtp: {}",
            (
                "tidemill.yaml:1:1: there is no setting smtp: there are ai, alerts, app, "
                "applications, database, engine, logs, metrics, redis, security, server, "
                "webhooks, worker"
            ),
        ),
        (
            "worker:\n  threads: '8'",
            "tidemill.yaml:2:3: worker.threads must be a whole number, not text",
        ),
        (
            "worker:\n  threads: true",
            "tidemill.yaml:2:3: worker.threads must be a whole number, not true",
        ),
        (
            "worker:\n  max_tasks: 1.5",
            "tidemill.yaml:2:3: worker.max_tasks must be a whole number or null, not a number",
        ),
        (
            "redis:\n  password: 1234",
            (
                "tidemill.yaml:2:3: redis.password must be text (in quotes if it looks like a "
                "number), not a whole number"
            ),
        ),
        (
            "worker:\n  grace: soon",
            (
                "tidemill.yaml:2:3: worker.grace must be a duration such as 30s, 5m or 12h (a "
                "number is seconds), not text"
            ),
        ),
        (
            "worker:\n  queues: [1, 2]",
            "tidemill.yaml:2:3: worker.queues must be a list of names or null, not a list",
        ),
        ("worker: 8", "tidemill.yaml:1:1: worker is a section with keys of its own, not a value"),
        ("[1]", "tidemill.yaml:1:1: the file is a section with keys of its own, not a value"),
        (
            "server:\n  port: 99999",
            "tidemill.yaml:2:3: server: port 99999 is not within 0..65535",
        ),
        (
            "worker:\n  lease: 10s\n  heartbeat: 12s",
            (
                "tidemill.yaml:3:3: worker: the heartbeat 0:00:12 must be below the lease "
                "0:00:10, or running tasks are taken away; a third of it is usual"
            ),
        ),
        (
            "redis:\n  addr: localhost",
            (
                "tidemill.yaml:2:3: redis: addr 'localhost': write it as host:port, such as "
                "localhost:6379"
            ),
        ),
        (
            "ai:\n  active_services:\n    chat: gpt",
            (
                "tidemill.yaml:3:5: ai: active_services: chat is 'gpt', and providers has no "
                "such name (there: none)"
            ),
        ),
        (
            "app: shop",
            "tidemill.yaml:1:1: app 'shop': write it as module:name, such as shop.tasks:app",
        ),
        (
            "worker: {threads: 1}\nworker: {}",
            "tidemill.yaml:2:1: worker stands here again: it is in line 1 already",
        ),
        (
            "a: &x 1\nb: *x",
            "tidemill.yaml:2:4: this is no YAML: aliases (*name) are not supported",
        ),
        (
            "worker: {threads: 1",
            "tidemill.yaml:1:20: this is no YAML: expected ',' or '}', but got '<stream end>'",
        ),
    ],
)
def test_a_mistake_is_told_with_its_place_and_what_is_right(
    file: Path, text: str, told: str
) -> None:
    assert mistakes(file, text) == [told]


def test_a_mistake_in_a_variable_is_told_by_its_name(file: Path) -> None:
    assert mistakes(file, "", TIDEMILL_WORKER__CONCURRENCY="many", TIDEMILL_WORKER__SIZE="1") == [
        "TIDEMILL_WORKER__CONCURRENCY: worker.concurrency must be a whole number or auto, not text",
        (
            "TIDEMILL_WORKER__SIZE: there is no setting worker.size: there are child_max_tasks, "
            "child_memory_mib, children, concurrency, grace, heartbeat, lease, max_memory_mib, "
            "max_tasks, queues, stall, threads"
        ),
    ]


def test_all_mistakes_are_told_in_the_order_of_the_file(file: Path) -> None:
    text = "nope: 1\nserver:\n  port: -1\n  root_path: x\nworker:\n  threads: a\n  children: 0\n"
    assert [each.split(": ")[0] for each in mistakes(file, text)] == [
        f"tidemill.yaml:{line}" for line in ("1:1", "3:3", "4:3", "6:3", "7:3")
    ]


def test_a_wrong_configuration_raises_its_first_mistake(file: Path) -> None:
    wrong = loaded(file, "nope: 1\nserver: {port: -1}")
    with pytest.raises(ConfigError, match=r"1:1: there is no setting nope: .*\(and 1 more: tide"):
        wrong.checked()
    assert wrong.configuration == Configuration()


@pytest.mark.parametrize("key", ["open-sesame", "0" * 63, "g" * 64])
def test_a_wrong_key_is_told_without_showing_it(file: Path, key: str) -> None:
    (told,) = mistakes(file, f"security: {{encryption_key: '{key}'}}")
    assert "64 hexadecimal digits" in told
    assert key not in told


@pytest.mark.parametrize("depth", [100, 100_000])
def test_a_file_that_is_nested_without_end_is_told(file: Path, depth: int) -> None:
    (told,) = mistakes(file, "a: " + "[" * depth + "]" * depth)
    assert told == "tidemill.yaml:1:23: this is no YAML: it is nested deeper than 20 levels"


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        load(tmp_path / "none.yaml", {})


def test_a_file_that_is_no_text_is_told(file: Path) -> None:
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="is not UTF-8 text"):
        load(file, {})


def test_secrets_are_known_as_such(file: Path) -> None:
    values = loaded(file, OF_THE_MAIL_ANALYSIS).values()
    assert {each.name for each in values if each.secret} == {
        "server.jwt.secret",
        "redis.password",
        "ai.providers.openai.api_key",
        "security.encryption_key",
    }


def test_what_applications_say_is_read_as_it_stands_and_shown_to_nobody(file: Path) -> None:
    file.write_text("applications:\n  mailroom:\n    spam: {threshold: 0.7, allow: [a.org]}\n")
    loaded = load(file, {"TIDEMILL_APPLICATIONS__SHOP": "{name: Corner}"})
    assert loaded.checked().applications == {
        "mailroom": {"spam": {"threshold": 0.7, "allow": ["a.org"]}},
        "shop": {"name": "Corner"},
    }
    shown = {each.name: each.secret for each in loaded.values() if "applications" in each.name}
    assert shown == {"applications.mailroom": True, "applications.shop": True}


def test_the_file_is_the_one_that_is_named_else_the_one_in_this_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert find({}) is None
    Path("tidemill.yaml").touch()
    assert find({}) == Path("tidemill.yaml")
    assert find({"TIDEMILL_CONFIG": "/etc/mill.yaml"}) == Path("/etc/mill.yaml")
