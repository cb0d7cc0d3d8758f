"""`tidemill webhook …`."""

import pytest

from tests.cli.conftest import Shop

URL = "https://example.org/hook"


def test_a_webhook_is_made_shown_rotated_paused_and_deleted(shop: Shop) -> None:
    made = shop.call("webhook", "create", URL, "--event", "task.failed", "-o", "json")
    assert made.code == 0
    assert "not shown again" in made.err
    secret, webhook_id = made.json["secret"], made.json["id"]
    assert secret.startswith("whsec_")
    shown = shop.call("webhook", "show", webhook_id)
    assert URL in shown.out
    assert "whsec_" not in shown.out
    rotated = shop.call("webhook", "rotate", webhook_id, "-o", "json")
    assert rotated.json["secret"] != secret
    assert shop.call("webhook", "pause", webhook_id, "-o", "json").code == 0
    [listed] = shop.call("webhook", "ls", "-o", "json").json["webhooks"]
    assert (listed["name"], listed["events"], listed["active"]) == (
        "example.org",
        ["task.failed"],
        False,
    )
    assert "paused" in shop.call("webhook", "ls").out
    assert shop.call("webhook", "resume", webhook_id).code == 0
    tested = shop.call("webhook", "test", webhook_id, "-o", "json")
    assert tested.code == 0
    assert shop.call("webhook", "delete", webhook_id, "--yes").code == 0
    gone = shop.call("webhook", "show", webhook_id)
    assert (gone.code, "no webhook" in gone.err) == (3, True)


@pytest.mark.parametrize("url", ["https://127.0.0.1/", "http://example.org/", "example.org"])
def test_a_url_that_nothing_would_be_sent_to_is_refused(url: str, shop: Shop) -> None:
    said = shop.call("webhook", "create", url)
    assert (said.code, "refused" in said.err) == (2, True)


def test_the_configuration_allows_networks(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEMILL_WEBHOOKS__ALLOW_NETWORKS", "127.0.0.0/8,10.1.0.0/16")
    monkeypatch.setenv("TIDEMILL_WEBHOOKS__ALLOW_HTTP", "true")
    assert shop.call("webhook", "create", "http://127.0.0.1:8000/").code == 0
    assert shop.call("webhook", "create", "http://10.2.0.1/").code == 2


def test_a_network_that_is_none_is_a_mistake_of_the_configuration(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIDEMILL_WEBHOOKS__ALLOW_NETWORKS", "10.1.0.0")
    assert shop.call("config", "check").code == 0
    monkeypatch.setenv("TIDEMILL_WEBHOOKS__ALLOW_NETWORKS", "10.1")
    assert shop.call("config", "check").code == 2
