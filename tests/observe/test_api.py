"""The HTTP interface serves the metrics of its process to who may look."""

import httpx

from tests.api.conftest import OpenSite, key_header, site
from tests.observe.scraping import OPEN, Scrape
from tidemill import Scope
from tidemill.access import Tenant

__all__ = ["site"]


async def test_it_serves_what_its_process_counts(site: OpenSite) -> None:
    async with site() as here:
        await here.submit()
        await here.submit()
        for accept in ("", OPEN):
            answer = await here.client.get("/metrics", headers={"accept": accept})
            assert answer.status_code == 200
            assert answer.headers["content-type"].startswith(accept or "text/plain")
            found = Scrape.of(answer.text)
            assert found.value("tidemill_tasks_enqueued_total", queue="processing") == 2
            assert found.value("tidemill_queue_tasks", queue="processing", state="pending") == 2


async def test_only_who_may_see_everything_reads_metrics(site: OpenSite) -> None:
    async with site() as here, httpx.AsyncClient(base_url=here.url) as client:
        assert (await client.get("/metrics")).status_code == 401
        for status, scope, tenant in (
            (200, Scope.VIEW, Tenant()),
            (403, Scope.PAYLOADS, Tenant()),
            (403, Scope.VIEW, Tenant(user_id="ana")),
        ):
            header = await key_header(here.app, scope, tenant=tenant, name=f"k{scope}{status}")
            assert (await client.get("/metrics", headers=header)).status_code == status
