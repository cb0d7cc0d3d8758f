"""Alerts and silences over HTTP."""

from datetime import UTC, datetime

import msgspec

from tests.api.conftest import OpenSite, problem
from tidemill.alert import AlertLevel, Standing
from tidemill.engine import Put


async def test_what_is_not_fine_is_listed_and_silenced(site: OpenSite) -> None:
    standing = Standing(
        seen=AlertLevel.ALARM,
        seen_at=datetime(2026, 1, 1, tzinfo=UTC),
        value=6012,
        told=AlertLevel.WARNING,
    )
    async with site() as here:
        engine = await here.app.engine()
        await engine.put([Put("alert", "queue_pending/mail", msgspec.json.encode(standing))])
        [alert] = (await here.ask("GET", "/alerts", 200))["alerts"]
        assert alert == {
            "rule": "queue_pending",
            "subject": "mail",
            "level": "alarm",
            "told": "warning",
            "value": 6012.0,
            "since": "2026-01-01T00:00:00Z",
            "silenced": False,
        }
        wanted = {"seconds": 60, "rule": "queue_pending", "reason": "import"}
        made = await here.ask("POST", "/alerts/silences", 201, wanted)
        assert made["by"].startswith("key:")
        assert (await here.ask("GET", "/alerts/silences", 200))["silences"] == [made]
        assert (await here.ask("GET", "/alerts", 200))["alerts"][0]["silenced"]
        await here.ask("DELETE", f"/alerts/silences/{made['id']}", 204)
        assert (await here.ask("GET", "/alerts/silences", 200))["silences"] == []


async def test_a_silence_of_no_rule_or_no_time_is_refused(site: OpenSite) -> None:
    async with site() as here:
        where = "/api/v1/alerts/silences"
        wrong = await here.client.post(where, json={"seconds": 60, "rule": "cpus"})
        assert (wrong.status_code, problem(wrong).type) == (422, "config-invalid")
        short = await here.client.post(where, json={"seconds": 0})
        assert (short.status_code, problem(short).fields) == (422, ("seconds",))
        gone = await here.client.delete(f"{where}/none")
        assert (gone.status_code, problem(gone).type) == (404, "not-found")
