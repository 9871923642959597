"""Images by URL, from correct and faulty servers on loopback."""

import gzip
import logging
import subprocess
import time

import httpcore
import pytest

from imgsearch.errors import ConfigError, UrlFailed, UrlRefused
from imgsearch.images.urls import UrlLimits, fetch
from tests.services.web_server import (
    WebServer,
    answer,
    cut,
    endless,
    head,
    redirect,
    server_context,
    stall,
)

PNG = b"\x89PNG\r\n\x1a\nK\xc3\xa4fer"
LOOPBACK = ("127.0.0.1",)
QUICK = UrlLimits(max_bytes=100_000, seconds=60)
BRIEF = UrlLimits(seconds=0.3)


@pytest.fixture
def server():
    with WebServer(PNG) as site:
        yield site


@pytest.fixture(scope="module")
def certified(tmp_path_factory):
    """Return a TLS context for the host bilder.example, and a client context that trusts it."""
    import ssl

    folder = tmp_path_factory.mktemp("tls")

    def run(words, **options):
        name = "DNS:bilder.example,DNS:xn--kfer-loa.example"
        words = [f"subjectAltName={name}" if word.startswith("subjectAlt") else word
                 for word in words]  # fmt: skip
        return subprocess.run(words, **options)

    context, certificate = server_context(folder, run)
    return context, ssl.create_default_context(cafile=str(certificate))


def get(url, **options):
    return fetch(url, **({"allow": LOOPBACK, "limits": QUICK} | options))


def raw(data):
    """Return a handler that sends exactly these bytes."""
    return lambda handler: handler.wfile.write(data)


def port(site):
    return int(site.url.split(":")[2].split("/")[0])


def names(**places):
    """Return a resolver for these hosts, and the list of the hosts that it resolved."""
    hosts = []

    def resolver(host, port):
        hosts.append(host)
        return places.get(host.replace(".", "_").replace("-", "_"), [])

    return resolver, hosts


def test_fetch_returns_bytes_media_type_and_url(server):
    server.script = [answer(200, PNG, Content_Type="Image/PNG; q=1", Content_Length=len(PNG))]
    fetched = get(server.url + "?größe=3#anker")
    assert fetched.data == PNG
    assert fetched.media_type == "image/png"
    assert fetched.url == server.url + "?gr%C3%B6%C3%9Fe=3"
    assert "Käfer" not in repr(fetched)


def test_request_has_only_the_necessary_headers(server, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    server.script = [
        lambda handler: head(handler, 302, Location="/b?c", Set_Cookie="a=b", Content_Length=0)
    ]
    assert get(server.url).data == PNG
    assert [request.pop("path") for request in server.requests] == ["/reverse.zip", "/b?c"]
    for request in server.requests:
        assert request == {
            "Host": f"127.0.0.1:{port(server)}",
            "User-Agent": "imgsearch",
            "Accept": "image/*",
            "Accept-Encoding": "identity",
            "Connection": "close",
        }


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "[::1]", "127.0.0.2", "[::ffff:127.0.0.1]", "LOCALHOST."]
)
def test_private_host_is_not_requested_unless_allowed(server, host):
    with pytest.raises(UrlRefused, match="no public address"):
        get(f"http://{host}:{port(server)}/", allow=())
    assert server.requests == []


def test_unknown_and_private_hosts_have_the_same_message(caplog):
    resolver, _ = names(intern_example=["10.11.12.13"], gemischt_example=["8.8.8.8", "10.11.12.13"])
    messages = set()
    with caplog.at_level(logging.INFO, logger="imgsearch.images.urls"):
        for host in ("intern.example", "gemischt.example", "nirgends.example"):
            with pytest.raises(UrlRefused) as caught:
                get(f"http://{host}/", resolver=resolver)
            messages.add(str(caught.value).replace(host, "HOST"))
    assert messages == {"http://HOST/: its host has no public address"}
    assert "10.11.12.13" in caplog.text  # only in the operator's log


def test_host_is_resolved_once_and_the_checked_address_is_used(server):
    answers = [["127.0.0.1"], ["169.254.169.254"]]
    hosts = []

    def rebinding(host, port):
        hosts.append(host)
        return answers[len(hosts) - 1]

    url = f"http://umgebunden.example:{port(server)}/"
    assert get(url, resolver=rebinding).data == PNG
    assert hosts == ["umgebunden.example"]
    server.script, answers[1:] = [redirect("/b")], [["127.0.0.1"], ["169.254.169.254"]]
    with pytest.raises(UrlRefused, match="no public address"):
        get(url, resolver=rebinding)  # a redirect is resolved and checked again
    assert len(server.requests) == 2


def test_international_host_is_requested_by_its_ascii_name(server):
    resolver, hosts = names(xn__kfer_loa_example=["127.0.0.1"])
    url = f"http://Käfer.example:{port(server)}/"
    assert get(url, resolver=resolver).data == PNG
    assert hosts == ["xn--kfer-loa.example"]
    assert server.requests[0]["Host"] == f"xn--kfer-loa.example:{port(server)}"


def test_next_address_is_tried_after_a_failure(server):
    resolver, _ = names(zwei_example=["127.0.0.3", "127.0.0.1"])  # no server listens on the first
    url = f"http://zwei.example:{port(server)}/"
    assert get(url, resolver=resolver, allow=["127.0.0.0/8"]).data == PNG


@pytest.mark.parametrize(
    "location",
    [
        "http://169.254.169.254/latest/meta-data/", "http://10.0.0.1/", "file:///etc/passwd",
        "ftp://example.com/", "http://0x7f000001/", "//[::1]/", "http://user:pw@example.com/",
        "http://127.0.0.1:22/", "gopher://127.0.0.1/", "http://exam\tple.com/", "http://[",
    ],
)  # fmt: skip
def test_redirects_are_checked_like_the_url(server, location):
    server.script = [redirect(location)]
    with pytest.raises(UrlRefused) as caught:
        get(server.url)
    assert str(caught.value).startswith(f"{server.url}: ")
    assert location not in str(caught.value)
    assert len(server.requests) == 1


def test_at_most_five_redirects_are_followed(server):
    server.script = [redirect(f"/{place}", 301 + place % 2) for place in range(5)]
    assert get(server.url).url.endswith("/4")
    server.script = [redirect("/b")] * 6
    with pytest.raises(UrlRefused, match="redirects more than 5 times"):
        get(server.url)
    server.script = [redirect(None)]
    with pytest.raises(UrlRefused, match="redirects to a URL that is not allowed"):
        get(server.url)


def test_ports_below_1024_are_rejected_except_80_and_443(server):
    for number in (22, 25, 6_000, 1_023):
        if number < 1_024:
            with pytest.raises(UrlRefused, match=f"port {number} is not allowed"):
                get(f"http://127.0.0.1:{number}/")
        assert UrlLimits().allows(number) == (number >= 1_024)
    assert UrlLimits().allows(80)
    assert UrlLimits().allows(443)
    with pytest.raises(UrlRefused, match="is not allowed"):
        get(server.url, limits=UrlLimits(ports=frozenset({443})))


@pytest.mark.parametrize(
    ("response", "why"),
    [
        (answer(404, b"10.0.0.1 is down"), "the server responds 404"),
        (answer(500), "the server responds 500"),
        (answer(206, PNG, Content_Length=len(PNG)), "the server responds 206"),
        (cut(5), "invalid HTTP"),
        (raw(b""), "invalid HTTP"),
        (raw(b"SSH-2.0-OpenSSH_9.6\r\n"), "invalid HTTP"),
        (raw(b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"), "invalid HTTP"),
        (raw(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd"),
         "invalid HTTP"),
        (raw(b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 5_000 + b"\r\n\r\n"),
         "invalid HTTP"),
        (raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nabcd"), "invalid HTTP"),
        (raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nab"), "invalid HTTP"),
        (raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n"), "invalid HTTP"),
        (raw(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 2_000_000 + b"\r\n\r\n"), "invalid HTTP"),
        (raw(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200_000 + b"\r\n"), "invalid HTTP"),
        (raw(b"HTTP/1.1 100 Continue\r\n\r\n" * 40_000), "the connection broke off"),
        (answer(200, gzip.compress(bytes(10_000_000)), Content_Encoding="gzip"), "compresses its"),
        (answer(200, PNG, Content_Encoding="BR"), "compresses its response unrequested"),
    ],
)  # fmt: skip
def test_response_without_an_image_raises(server, response, why):
    server.script = [response]
    with pytest.raises(UrlFailed, match=why) as caught:
        get(server.url)
    assert str(caught.value).startswith(f"{server.url}: ")
    assert "10.0.0.1" not in str(caught.value)


def test_chunks_are_joined(server):
    server.script = [
        raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nK\xc3\xa4\r\n3;x=y\r\nfer"
            b"\r\n0\r\n\r\n")
    ]  # fmt: skip
    assert get(server.url).data.decode() == "Käfer"


def chunks(handler):
    """Send chunks of one byte without end."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        handler.wfile.write(b"1\r\nx\r\n" * 1_000)


@pytest.mark.parametrize(
    "response",
    [endless, answer(200, b"", Content_Length=100_001)],
    ids=["sent", "response"],
)
def test_size_limit_holds(server, response):
    server.script = [response]
    with pytest.raises(UrlRefused, match="more than 100,000 bytes"):
        get(server.url)


def test_size_limit_holds_for_one_byte_chunks(server):
    server.script = [chunks]
    with pytest.raises(UrlRefused, match="more than 1,000 bytes"):
        get(server.url, limits=UrlLimits(max_bytes=1_000))


def test_response_of_exactly_the_limit_is_accepted(server):
    server.content = b"x" * 100_000
    assert len(get(server.url).data) == 100_000


def drip(part):
    """Return a handler that sends `part` repeatedly, within the timeout of one read."""

    def respond(handler):
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
        while not handler.server_site.released.wait(0.02):
            handler.wfile.write(part)

    return respond


@pytest.mark.parametrize(
    "response",
    [drip(b"X"), drip(b"X: y\r\n"), stall(0), stall(5),
     lambda handler: handler.server_site.released.wait()],
    ids=["header", "headers", "body", "rest", "silent"],
)  # fmt: skip
def test_deadline_holds_for_every_slow_response(server, response):
    server.script = [response]
    began = time.monotonic()
    with pytest.raises(UrlFailed, match="no response in time"):
        get(server.url, limits=BRIEF)
    assert time.monotonic() - began < 5


def test_deadline_holds_for_slow_redirects_and_slow_resolvers(server):
    def slowly(handler):
        handler.server_site.released.wait(0.12)
        redirect("/weiter")(handler)

    server.script = [slowly] * 6  # 0.72 s together, each well within 0.3
    with pytest.raises(UrlFailed, match="no response in time"):
        get(server.url, limits=BRIEF)
    assert len(server.requests) < 6
    began = time.monotonic()
    with pytest.raises(UrlFailed, match="no response in time"):
        get(server.url, limits=BRIEF, resolver=lambda *_: server.released.wait(30) and [])
    assert time.monotonic() - began < 5


def test_refused_connection_raises_without_the_address():
    resolver, _ = names(zu_example=["127.0.0.9"])
    with pytest.raises(UrlFailed, match=r"http://zu.example:9999/: cannot be reached$") as caught:
        get("http://zu.example:9999/", resolver=resolver, allow=["zu.example"])
    assert isinstance(caught.value.__cause__, httpcore.ConnectError)


def test_certificate_must_match_the_host_name(certified):
    context, trust = certified
    resolver, _ = names(
        bilder_example=["127.0.0.1"],
        xn__kfer_loa_example=["127.0.0.1"],
        fremd_example=["127.0.0.1"],
    )
    seen = []
    context.sni_callback = lambda _socket, name, _context: seen.append(name)
    with WebServer(PNG, context=context) as site:
        where = f":{port(site)}/a.png"
        for host in ("bilder.example", "käfer.example"):
            assert get(f"https://{host}{where}", resolver=resolver, trust=trust).data == PNG
        assert seen == ["bilder.example", "xn--kfer-loa.example"]
        for url, options in (
            (f"https://fremd.example{where}", {"trust": trust}),
            (f"https://bilder.example{where}", {}),
            (f"https://127.0.0.1{where}", {"trust": trust}),
        ):
            with pytest.raises(UrlFailed, match="its certificate is not trusted"):
                get(url, **{"resolver": lambda host, _: ["127.0.0.1"], **options})
        site.script = [redirect(f"http://bilder.example{where}")]
        with pytest.raises(UrlRefused, match="redirects to a URL that is not allowed"):
            get(f"https://bilder.example{where}", resolver=resolver, trust=trust)
        with pytest.raises(UrlFailed, match="invalid HTTP|broke off"):
            get(f"http://bilder.example{where}", resolver=resolver)


def test_https_to_a_plain_server_raises(server):
    with pytest.raises(UrlFailed, match="cannot be reached"):
        get(server.url.replace("http:", "https:"))


@pytest.mark.parametrize(
    "words", [{"max_bytes": 0}, {"seconds": 0}, {"connect_seconds": -1}, {"redirects": -1}]
)
def test_limits_must_be_positive(words):
    with pytest.raises(ConfigError, match="positive"):
        UrlLimits(**words)
