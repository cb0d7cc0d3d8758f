from datetime import UTC, datetime

import msgspec

from tests.cli.conftest import Shop
from tidemill.alert import AlertLevel, Standing
from tidemill.engine import Put


def _stands(shop: Shop) -> None:
    standing = Standing(
        seen=AlertLevel.ALARM,
        seen_at=datetime(2026, 1, 1, tzinfo=UTC),
        value=6012,
        told=AlertLevel.ALARM,
    )
    put = Put("alert", "queue_pending/mail", msgspec.json.encode(standing))
    shop.on_engine(lambda engine: engine.put([put]))


def test_what_is_not_fine_is_listed(shop: Shop) -> None:
    _stands(shop)
    [alert] = shop.call("alert", "ls", "-o", "json").json["alerts"]
    assert alert["rule"] == "queue_pending"
    assert alert["subject"] == "mail"
    assert (alert["level"], alert["value"], alert["silenced"]) == ("alarm", 6012, False)
    table = shop.call("alert", "ls").out.splitlines()
    assert table[0].split() == ["RULE", "SUBJECT", "LEVEL", "VALUE", "FOR", "SILENCED"]
    assert table[1].split()[:4] == ["queue_pending", "mail", "alarm", "6012"]


def test_a_silence_is_made_listed_and_ended(shop: Shop) -> None:
    _stands(shop)
    said = ("--rule", "queue_pending", "--for", "2h", "--reason", "import")
    made = shop.call("alert", "silence", *said, "-o", "json").json
    [listed] = shop.call("alert", "silences", "-o", "json").json["silences"]
    assert listed == made
    assert (made["rule"], made["subject"], made["reason"]) == ("queue_pending", None, "import")
    assert shop.call("alert", "ls", "-o", "json").json["alerts"][0]["silenced"]
    shop.call("alert", "unsilence", made["id"])
    assert shop.call("alert", "silences", "-o", "json").json["silences"] == []


def test_an_unknown_rule_or_silence_is_a_clear_error(shop: Shop) -> None:
    wrong = shop.call("alert", "silence", "--rule", "cpus")
    assert wrong.code == 2
    assert "no alert rule is called 'cpus'" in wrong.err
    gone = shop.call("alert", "unsilence", "abc")
    assert gone.code == 3
    assert "there is no silence 'abc'" in gone.err
