"""The page's server rejects local files, calls of other pages and unknown visitors."""

import asyncio
import json

import httpx
import pytest

from imgsearch.archive import Incoming, opened
from imgsearch.archive.access import Keys
from imgsearch.catalog import Catalog
from imgsearch.errors import AccessDenied, CatalogError
from tests.pictures import write

guard = pytest.importorskip("imgsearch.ui.guard", reason="starlette is not installed")


@pytest.mark.parametrize(
    "path",
    [
        "file=/etc/hostname",
        "file=../../../../etc/hostname",
        "file=%2Fetc%2Fhostname",
        "file/etc/hostname",
        "file=https://example.org/a.png",
        "file=file:///etc/hostname",
        "proxy=https://example.org/",
        "info",
        "openapi.json",
        "vibe-code",
        "runs",
        "api/_search",
    ],
)
def test_local_files_and_other_routes_are_not_served(served, path):
    answer = httpx.get(f"{served.url}gradio_api/{path}", follow_redirects=True)
    assert answer.status_code in (403, 404)


def test_files_of_the_archive_are_not_served(served):
    place = served.temporary.parent / "data" / "catalog.db"
    assert place.is_file()
    assert httpx.get(f"{served.url}gradio_api/file={place}").status_code in (403, 404)


@pytest.mark.parametrize("place", ["/etc/hostname", "https://example.org/a.png", "file:///etc/a"])
def test_call_cannot_name_a_file_that_was_not_uploaded(served, place):
    config = httpx.get(f"{served.url}config").json()
    picture = {"path": place, "meta": {"_type": "gradio.FileData"}, "orig_name": "a.png"}
    cut = next(
        event["id"]
        for event in config["dependencies"]
        if event["targets"][0][1] == "click"
        and len(event["inputs"]) == 1
        and next(c for c in config["components"] if c["id"] == event["inputs"][0])["type"]
        == "multimodaltextbox"
    )
    bar = {"text": "", "files": [picture]}
    call = {"data": [bar], "fn_index": cut, "session_hash": "fremd", "event_data": None}
    joined = httpx.post(f"{served.url}gradio_api/queue/join", json=call)
    if "://" in place:
        assert joined.status_code == 422
        return
    with httpx.stream(
        "GET", f"{served.url}gradio_api/queue/data?session_hash=fremd", timeout=20
    ) as lines:
        event = next(line for line in lines.iter_lines() if "process_completed" in line)
    assert json.loads(event.removeprefix("data: "))["success"] is False


def test_other_pages_and_other_names_are_rejected(served):
    call = f"{served.url}gradio_api/queue/join"
    assert httpx.post(call, json={}, headers={"origin": "https://a.example"}).status_code == 403
    assert httpx.get(served.url, headers={"host": "a.example"}).status_code == 421
    policy = httpx.get(served.url).headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy


async def behind(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"the page"})


FORM = "multipart/form-data; boundary=b"
PART = '--b\r\nContent-Disposition: form-data; name="files"; filename="%s"\r\n\r\na\r\n--b--\r\n'


@pytest.mark.parametrize(
    ("path", "kind", "body"),
    [
        ("gradio_api/upload", f"{FORM}; charset=undefined", PART % "a.jpg"),
        ("gradio_api/upload", f"{FORM}; charset=punycode", PART % "a.jpg"),
        ("gradio_api/upload", "multipart/form-data; boundary=", PART % "a.jpg"),
        ("gradio_api/upload", FORM, PART.replace('; name="files"; filename="%s"', "")),
        *(
            (f"gradio_api/{route}", "application/json", body)
            for route in ("queue/join", "cancel", "reset")
            for body in (
                "NaN", '"\\ud800"', '{"data": [NaN]}', '{"data": [1e999]}', '{"fn_index": -1}',
                '{"fn_index": 99999, "data": []}', '{"fn_index": 1e999}', '{"data": ["\\udfff"]}',
                '{"fn_index": 9999999999999999999999}', "[" * 900 + "]" * 900,
                "[" * 9_999, "9" * 9_999,
            )
        ),
    ],
)  # fmt: skip
def test_malformed_call_is_a_client_error(served, path, kind, body):
    headers = {"Content-Type": kind}
    answer = httpx.post(f"{served.url}{path}", content=body, headers=headers)
    assert 400 <= answer.status_code < 500


@pytest.mark.parametrize("path", ["assets/" + "ü" * 200, "static/" + "a" * 256, "assets/%00"])
def test_path_that_names_no_file_is_not_found(served, path):
    assert httpx.get(f"{served.url}{path}").status_code == 404


def responses(app, *requests):
    """Return the responses of an ASGI application to requests of one client."""

    async def answer():
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://page") as client:
            return [await client.request(*words, **options) for *words, options in requests]

    return asyncio.run(answer())


def test_original_is_sent_under_its_own_name(tmp_path):
    def check(key, scope):
        if (key, scope) != ("read-key", "read"):
            raise AccessDenied("no")

    with opened(tmp_path / "data") as archive:
        file = write(tmp_path, 1)[0].read_bytes()
        (entry,) = archive.add([Incoming('Bär "1".png', data=file)]).entries
        app = guard.Guard(behind, check=check, archive=archive)
        at = f"/original/{entry.id}"
        key = {"headers": {"Cookie": "imgsearch_key=read-key"}}
        displayed, saved, unknown, outside, unsigned, written = responses(
            app,
            ("GET", at, key),
            ("GET", f"{at}?download", key),
            ("GET", f"/original/{'0' * 64}", key),
            ("GET", "/original/..%2Fcatalog.db", key),
            ("GET", at, {"headers": {"Cookie": "imgsearch_key=x"}}),
            ("POST", at, key),
        )
    assert (displayed.status_code, displayed.content, displayed.headers["Content-Type"]) == (
        200, file, "image/png",
    )  # fmt: skip
    assert displayed.headers["Content-Disposition"].startswith("inline; ")
    assert displayed.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert displayed.headers["X-Content-Type-Options"] == "nosniff"
    assert saved.headers["Content-Disposition"] == (
        "attachment; filename=\"B_r _1_.png\"; filename*=UTF-8''B%C3%A4r%20%221%22.png"
    )
    assert [answer.status_code for answer in (unknown, outside, unsigned, written)] == [
        404, 404, 401, 404,
    ]  # fmt: skip


def test_page_may_be_the_origin_of_a_form():
    form, submitted, foreign, hidden = responses(
        guard.Guard(behind, check=lambda *_: None),
        ("GET", "/sign-in", {}),
        ("POST", "/sign-in", {"data": {"key": "a"}, "headers": {"Origin": "http://page"}}),
        ("POST", "/sign-in", {"data": {"key": "a"}, "headers": {"Origin": "http://a.example"}}),
        ("POST", "/sign-in", {"data": {"key": "a"}, "headers": {"Origin": "null"}}),
    )
    assert form.headers["Referrer-Policy"] == "same-origin"
    assert (submitted.status_code, foreign.status_code, hidden.status_code) == (303, 403, 403)


@pytest.mark.parametrize(
    ("query", "location"),
    [
        ("a=1%262&ü", "./?a=1%262&%C3%BC"),
        ("//evil.example/", "./?//evil.example/"),
        ("\r\nX-Evil: 1", "./?%0D%0AX-Evil:%201"),
        ('"><script>', "./?%22%3E%3Cscript%3E"),
        ("", "./"),
    ],
)
def test_sign_in_redirects_only_to_the_page(query, location):
    form, submitted = responses(
        guard.Guard(behind, check=lambda *_: None),
        ("GET", "/sign-in", {"params": {"next": query}}),
        ("POST", "/sign-in", {"params": {"next": query}, "data": {"key": "a"}}),
    )
    assert "<script>" not in form.text
    assert submitted.headers["Location"] == location


def test_sign_in_form_reports_an_unavailable_catalog():
    def broken(*_):
        raise CatalogError("mysql://secret does not answer")

    (answer,) = responses(
        guard.Guard(behind, check=broken), ("POST", "/sign-in", {"data": {"key": "a"}})
    )
    assert answer.status_code == 503
    assert "keys cannot be checked at the moment" in answer.text
    assert "secret" not in answer.text


def test_visitor_signs_in_with_a_key_once(tmp_path):
    with Catalog(str(tmp_path / "catalog.db")) as catalog:
        keys = Keys(catalog)
        row, secret = keys.create("Jürgen", ["read"])
        app = guard.Guard(behind, check=keys.check)

        async def visit():
            transport = httpx.ASGITransport(app=app)
            async with httpx.AsyncClient(transport=transport, base_url="http://page") as client:
                first = await client.get("/")
                assert (first.status_code, first.headers["location"]) == (303, "sign-in")
                assert (await client.get("/config")).status_code == 401
                assert "API key" in (await client.get("/sign-in")).text
                wrong = await client.post("/sign-in", data={"key": "img_no_such"})
                assert wrong.status_code == 403
                assert "set-cookie" not in wrong.headers
                right = await client.post("/sign-in", data={"key": secret})
                cookie = right.headers["set-cookie"].lower()
                assert "httponly" in cookie
                assert "samesite=strict" in cookie
                assert (await client.get("/")).text == "the page"
                keys.revoke(row.id)
                assert (await client.get("/config")).status_code == 401
                await client.get("/sign-out")
                assert not client.cookies

        asyncio.run(visit())


def test_page_alone_logs_requests_without_their_query(served):
    answer = httpx.get(f"{served.url}nirgends?q=geheim", headers={"X-Request-ID": "seite-1"})
    assert answer.headers["X-Request-ID"] == "seite-1"
    (line,) = (line for line in served.said().splitlines() if "seite-1" in line)
    assert "GET /nirgends 404" in line
    assert "geheim" not in served.said()
