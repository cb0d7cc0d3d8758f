"""Signing a browser in: the link, the button, the cookie, the pages."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from tests.api.conftest import OpenSite, Site, application, problem
from tidemill.api import create_api
from tidemill.api.server import listen, serving, url_of

HERE = {"Sec-Fetch-Site": "same-origin"}


@asynccontextmanager
async def browser(here: Site) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=here.url) as client:
        yield client


async def signed_in(here: Site, client: httpx.AsyncClient) -> httpx.Response:
    secret = await here.app.logins.create("login:ana")
    return await client.post("/login", data={"token": secret}, headers=HERE)


async def test_a_link_shows_a_button_and_the_button_signs_in_once(site: OpenSite) -> None:
    async with site() as here, browser(here) as client:
        secret = await here.app.logins.create("login:ana")
        await client.get("/login", params={"token": secret})  # looking uses nothing up
        shown = await client.get("/login", params={"token": secret})
        assert shown.status_code == 200
        assert "Sign in" in shown.text
        assert "登录" in shown.text
        assert "set-cookie" not in shown.headers
        [token] = re.findall(r'name="token" value="([^"]+)"', shown.text)
        done = await client.post("/login", data={"token": token}, headers=HERE)
        assert (done.status_code, done.headers["location"]) == (303, "/")
        told = done.headers["set-cookie"].split("; ")
        assert {"HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=43200"} <= {*told}
        assert told[0].startswith("tidemill=")
        start = await client.get("/")
        assert start.status_code == 200
        assert "login:ana" in start.text
        assert (await client.get("/api/v1/me")).json()["who"] == "login:ana"
        async with browser(here) as other:
            again = await other.post("/login", data={"token": token}, headers=HERE)
            assert again.status_code == 403
            assert "used already" in again.text
            assert "set-cookie" not in again.headers


@pytest.mark.parametrize("form", [{}, {"token": ""}, {"token": "x" * 43}, {"other": "x"}])
async def test_a_link_that_is_none_begins_nothing(site: OpenSite, form: dict[str, str]) -> None:
    async with site() as here, browser(here) as client:
        refused = await client.post("/login", data=form, headers=HERE)
        assert refused.status_code == 403
        assert "set-cookie" not in refused.headers


async def test_a_form_that_another_site_sent_uses_nothing_up(site: OpenSite) -> None:
    async with site() as here, browser(here) as client:
        secret = await here.app.logins.create()
        for headers in (
            {"Sec-Fetch-Site": "cross-site"},
            {"Sec-Fetch-Site": "same-site"},
            {"Origin": "http://evil.example"},
            {"Origin": "null"},
        ):
            refused = await client.post("/login", data={"token": secret}, headers=headers)
            assert (refused.status_code, problem(refused).type) == (403, "cross-site")
        assert (await client.post("/login", data={"token": secret}, headers=HERE)).is_redirect


async def test_a_session_changes_things_only_from_pages_of_the_server(site: OpenSite) -> None:
    async with site() as here, browser(here) as client:
        await signed_in(here, client)
        body = {"task_type": "echo", "payload": {}}
        for headers, status in (
            (HERE, 201),
            ({"Origin": here.url}, 201),
            ({"Sec-Fetch-Site": "cross-site"}, 403),
            ({"Origin": "http://evil.example"}, 403),
            ({}, 403),
        ):
            answer = await client.post("/api/v1/tasks", json=body, headers=headers)
            assert answer.status_code == status, headers
        assert (await client.get("/api/v1/tasks")).json()["total"] == 2


async def test_signing_out_ends_the_session_everywhere(site: OpenSite) -> None:
    async with site() as here, browser(here) as client:
        await signed_in(here, client)
        kept = dict(client.cookies)
        assert (await client.post("/logout")).status_code == 403
        done = await client.post("/logout", headers=HERE)
        assert (done.status_code, done.headers["location"]) == (303, "/login")
        assert "Max-Age=0" in done.headers["set-cookie"]
        assert not client.cookies
        async with httpx.AsyncClient(base_url=here.url, cookies=kept) as other:
            assert (await other.get("/api/v1/me")).status_code == 401


async def test_a_cookie_helps_no_wrong_key(site: OpenSite) -> None:
    async with site() as here, browser(here) as client:
        await signed_in(here, client)
        assert (await client.get("/api/v1/me", headers={"X-API-Key": "x"})).status_code == 401


async def test_the_page_shows_what_it_is_given_as_text(site: OpenSite) -> None:
    async with site() as here, browser(here) as client:
        shown = await client.get("/login", params={"token": '"><script>alert(1)</script>'})
        assert "<script>" not in shown.text
        policy = shown.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "script-src" not in policy
        assert "unsafe-inline" not in policy


@pytest.mark.parametrize(
    ("scheme", "root", "name", "path"),
    [
        ("http", "", "tidemill", "/"),
        ("http", "/mill", "tidemill", "/mill"),
        ("https", "", "__Host-tidemill", "/"),
        ("https", "/mill", "__Secure-tidemill", "/mill"),
    ],
)
async def test_the_cookie_is_as_narrow_as_the_address_allows(
    scheme: str, root: str, name: str, path: str
) -> None:
    """As behind a proxy on this machine, which says how the browser speaks to it."""
    app = application("memory://")
    listening = listen("127.0.0.1", 0)
    said: dict[str, Any] = {"headers": {"X-Forwarded-Proto": scheme}}
    async with (
        serving(create_api(app), listening, root_path=root, end=lambda: None),
        httpx.AsyncClient(base_url=url_of(listening), **said) as client,
    ):
        done = await client.post("/login", data={"token": await app.logins.create()}, headers=HERE)
        assert done.headers["location"] == f"{root}/"
        cookie, *told = done.headers["set-cookie"].split("; ")
        assert cookie.partition("=")[0] == name
        assert f"Path={path}" in told
        assert ("Secure" in told) is (scheme == "https")
        me = await client.get("/api/v1/me", headers={"Cookie": cookie})
        assert me.status_code == 200
        other = cookie.replace(name, "tidemill" if name != "tidemill" else "__Host-tidemill")
        client.cookies.clear()
        assert (await client.get("/api/v1/me", headers={"Cookie": other})).status_code == 401
    await app.close()
