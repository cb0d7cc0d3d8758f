"""What an operator says about the mailroom, and what is wrong with it."""

from pathlib import Path

import pytest
from sqlalchemy import make_url

from tidemill import ConfigError
from tidemill_apps.mailroom.settings import Place, engine_url


def place(tmp_path: Path, text: str) -> Place:
    return Place.of(environment(tmp_path, text))


def environment(tmp_path: Path, text: str) -> dict[str, str]:
    (tmp_path / "tidemill.yaml").write_text(text, "utf-8")
    return {
        "TIDEMILL_CONFIG": str(tmp_path / "tidemill.yaml"),
        "TIDEMILL_MAILROOM_DIR": str(tmp_path / "home"),
    }


def test_without_a_word_everything_is_in_the_folder(tmp_path: Path) -> None:
    said = environment(tmp_path, "")
    assert engine_url(said) == f"sqlite:///{tmp_path}/home/tasks.db"
    assert Place.of(said).database == f"sqlite:///{tmp_path}/home/mailroom.db"
    assert Place.of(said).index == tmp_path / "home" / "index.db"


def test_the_command_and_the_workers_have_the_engine_that_the_file_names(tmp_path: Path) -> None:
    assert engine_url(environment(tmp_path, "engine: {url: 'redis://x:1/2'}")) == "redis://x:1/2"
    told = "redis: {addr: 'localhost:6380', password: 'p@ss'}"
    assert engine_url(environment(tmp_path, told)) == "redis://:p%40ss@localhost:6380/0"


def test_a_database_may_be_named_in_the_words_of_libpq(tmp_path: Path) -> None:
    words = "host=db user=mill password='a b' dbname=mails port=6000 sslmode=disable"
    url = make_url(place(tmp_path, f'database: {{dsn: "{words}"}}').database)
    assert (url.host, url.port, url.username, url.password, url.database) == (
        "db",
        6000,
        "mill",
        "a b",
        "mails",
    )
    assert url.query == {"ssl": "disable"}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('database: {dsn: "host=db connect_timeout=3"}', "connect_timeout is not understood"),
        ('database: {dsn: "nonsense"}', "neither a URL nor words"),
        ("applications: {mailroom: {spam: {filter: {threshold: high}}}}", "applications.mailroom"),
        ("applications: {mailroom: {smap: {}}}", "unknown field `smap`"),
    ],
)
def test_a_mistake_is_told(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        print(place(tmp_path, text).database)


def test_one_provider_may_have_a_model_for_each_service(tmp_path: Path) -> None:
    ai = place(
        tmp_path,
        "ai: {active_services: {chat: one, embedding: one}, providers: {one: {base_url: 'http://x',"
        " model: talks, embedding_model: embeds}}}",
    ).ai
    chat, embedding = ai.endpoint("chat"), ai.endpoint("embedding")
    assert chat is not None
    assert embedding is not None
    assert (chat.model, embedding.model) == ("talks", "embeds")
