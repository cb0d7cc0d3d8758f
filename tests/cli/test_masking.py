import pytest

from tidemill.cli.masking import masked


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("redis://me:secret@cache/0 is away", "redis://me:***@cache/0 is away"),
        ("redis://:secret@cache", "redis://:***@cache"),
        ("'rediss+sentinel://me:s/e?c@r@a,b/x'", "'rediss+sentinel://me:***@a,b/x'"),
        ("redis:/me:secret@cache", "redis:/me:***@cache"),
        ("redis://cache?password=secret&prefix=a", "redis://cache?password=***&prefix=a"),
        ("redis://cache?sentinel_password=s", "redis://cache?sentinel_password=***"),
        ("two: redis://a:b@c and redis://d:e@f", "two: redis://a:***@c and redis://d:***@f"),
    ],
)
def test_a_password_in_a_url_is_masked(text: str, shown: str) -> None:
    assert masked(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "redis://cache:6379/0?password_file=/run/secrets/redis&password_env=SECRET",
        "redis://me@cache:6379/0",
        "write redis://:password@…",
        "at 12:30:45 ada@example.org failed: a: b",
        "sqlite:////var/lib/tidemill.db",
    ],
)
def test_what_is_no_password_stays(text: str) -> None:
    assert masked(text) == text
