"""X-Forwarded-* headers are used from trusted proxies and ignored from other clients."""

import asyncio

import httpx
import pytest
from fastapi import FastAPI, Request

from imgsearch.errors import ConfigError
from imgsearch.service import server
from imgsearch.service.proxies import Proxies, networks
from imgsearch.ui.guard import Guard

PROXY, STRANGER = "10.1.2.3", "192.0.2.7"
FORWARDED = {
    "X-Forwarded-Proto": "https",
    "X-Forwarded-For": "203.0.113.9",
    "X-Forwarded-Host": "photos.example.org",
}


def request_from(client, headers, *, trusted=("10.0.0.0/8", "::1"), app=None):
    """Return the response to a request that comes from the address `client`."""

    async def ask():
        wrapped = Proxies(app or echo(), networks=networks(trusted))
        transport = httpx.ASGITransport(wrapped, client=(client, 1234))
        async with httpx.AsyncClient(transport=transport, base_url="http://service:8000") as http:
            return await http.post("/sign-in", headers=headers, data={"key": "a"})

    return asyncio.run(ask())


def echo():
    app = FastAPI()

    @app.post("/sign-in")
    async def sign_in(request: Request) -> dict[str, object]:
        forwarded = [name for name in request.headers if "forwarded" in name]
        return {"url": str(request.url), "client": request.client.host, "forwarded": forwarded}

    return app


@pytest.mark.parametrize("proxy", [PROXY, "::1"])
def test_headers_of_a_proxy_are_used(proxy):
    assert request_from(proxy, FORWARDED).json() == {
        "url": "https://photos.example.org/sign-in",
        "client": "203.0.113.9",
        "forwarded": [],
    }


def test_headers_of_other_clients_are_ignored():
    plain = {"url": "http://service:8000/sign-in", "client": STRANGER, "forwarded": []}
    others = {"Forwarded": "proto=https;for=203.0.113.9", "X-Forwarded-Prefix": "/a"}
    assert request_from(STRANGER, FORWARDED | others).json() == plain
    assert request_from(STRANGER, FORWARDED, trusted=()).json() == plain
    plain["client"] = PROXY
    assert request_from(PROXY, FORWARDED, trusted=()).json() == plain


def test_last_address_that_is_not_a_proxy_is_the_client():
    several = FORWARDED | {"X-Forwarded-For": "1.1.1.1, 203.0.113.9, 10.9.9.9"}
    assert request_from(PROXY, several).json()["client"] == "203.0.113.9"


@pytest.mark.parametrize("value", ["", "javascript", "https,http", "\xff", "https" * 1_000])
def test_unknown_scheme_of_a_proxy_is_ignored(value):
    headers = FORWARDED | {"X-Forwarded-Proto": value.encode("latin-1")}
    assert request_from(PROXY, headers).json()["url"] == "http://photos.example.org/sign-in"


@pytest.mark.parametrize(("client", "secure"), [(PROXY, True), (STRANGER, False)])
def test_page_s_cookie_is_secure_behind_a_proxy_with_tls(client, secure):
    guard = Guard(echo(), check=lambda *_: None)
    cookie = request_from(client, FORWARDED, app=guard).headers["Set-Cookie"]
    assert cookie.startswith("__Host-imgsearch_key=") == secure
    assert ("; Secure" in cookie) == secure


@pytest.mark.parametrize("address", ["*", "proxy.example.org", "10.0.0.0/33", "10.0.0.1:80", ""])
def test_proxy_is_named_by_its_address(address):
    with pytest.raises(ConfigError, match="named by its address or network"):
        networks([address])


def test_no_auth_is_rejected_behind_a_proxy():
    with pytest.raises(ConfigError, match="gives access to others"):
        server.check_open("127.0.0.1", keys=0, no_auth=True, proxies=["10.0.0.1"])
