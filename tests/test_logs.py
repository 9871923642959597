"""Log lines: their format, the id of the request, and the access log without secrets."""

import asyncio
import json
import logging
import warnings

import pytest

from imgsearch.logs import RequestLog, logging_to_stderr, recent_lines, request_id

_log = logging.getLogger("imgsearch.tests")


def requested(app, path="/", *, headers=(), route=None, key_id=None):
    """Send one request through the middleware; return the messages that it sends."""
    scope = {"type": "http", "method": "GET", "path": path, "headers": list(headers)}
    sent = []

    async def inner(scope, receive, send):
        if route is not None:
            scope["route"] = type("Route", (), {"path": route})
        if key_id is not None:
            scope["state"]["key_id"] = key_id
        await app(scope, receive, send)

    async def send(message):
        sent.append(message)

    asyncio.run(RequestLog(inner)(scope, None, send))
    return sent


async def answering(scope, receive, send):
    _log.warning("größe %s", "\x1b[31m\nzweite")
    await send({"type": "http.response.start", "status": 201, "headers": []})
    await send({"type": "http.response.body", "body": b"abc", "more_body": True})
    await send({"type": "http.response.body", "body": b"de"})


async def failing(scope, receive, send):
    raise OSError("kaputt")


def json_lines(capsys):
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_json_lines_have_the_id_of_the_request(capsys):
    with logging_to_stderr("json", access=True):
        sent = requested(
            answering, "/v1/images/7", headers=[(b"x-request-id", b"eins-1")],
            route="/v1/images/{id}", key_id="5f0c3a9be2d1",
        )  # fmt: skip
        _log.warning("outside")
    assert (b"x-request-id", b"eins-1") in sent[0]["headers"]
    line, access, outside = json_lines(capsys)
    assert line["message"] == "größe \x1b[31m\nzweite"
    assert (line["level"], line["logger"]) == ("warning", "imgsearch.tests")
    assert line["request_id"] == access["request_id"] == "eins-1"
    assert "request_id" not in outside
    ms = access.pop("ms")
    assert 0 <= ms < 1_000
    assert {name: access[name] for name in ("method", "path", "status", "bytes", "key_id")} == {
        "method": "GET", "path": "/v1/images/{id}", "status": 201, "bytes": 5,
        "key_id": "5f0c3a9be2d1",
    }  # fmt: skip


def test_text_lines_are_single_and_printable(capsys):
    with logging_to_stderr(access=True):
        requested(answering, "/\x1b[2J\n" + "a" * 500)
    line, access = capsys.readouterr().err.splitlines()
    assert r"WARNING imgsearch.tests: größe \x1b[31m\nzweite [request " in line
    assert access.isprintable()
    assert r"GET /\x1b[2J\n" in access
    assert len(access) < 350


@pytest.mark.parametrize("id_", [b"", b"a b", b"a\n", b"\xff", b"x" * 65])
def test_invalid_id_of_a_client_is_replaced(id_):
    (headers,) = (m["headers"] for m in requested(answering, headers=[(b"x-request-id", id_)])[:1])
    assert len(headers[0][1]) == 16
    assert headers[0][1] != id_


def test_failed_request_is_logged_as_500(capsys):
    with logging_to_stderr("json", access=True), pytest.raises(OSError, match="kaputt"):
        requested(failing)
    (access,) = json_lines(capsys)
    assert (access["status"], access["bytes"], access["key_id"]) == (500, 0, "")
    assert request_id() == ""


def test_access_log_is_off_by_default_and_independent_of_the_level(capsys):
    with logging_to_stderr("json", "debug"):
        requested(answering)
    assert [line["logger"] for line in json_lines(capsys)] == ["imgsearch.tests"]
    with logging_to_stderr("json", "error", access=True):
        requested(answering)
    assert [line["logger"] for line in json_lines(capsys)] == ["imgsearch.access"]


def test_level_applies_to_imgsearch_alone(capsys):
    other = logging.getLogger("somebody")
    with logging_to_stderr("text", "debug"):
        _log.debug("ours")
        other.info("theirs")
        other.warning("their warning")
    assert [line.split(": ")[1] for line in capsys.readouterr().err.splitlines()] == [
        "ours", "their warning",
    ]  # fmt: skip


def test_settings_of_logging_are_restored(capsys):
    root = logging.getLogger()
    before = (root.level, list(root.handlers), logging.getLogger("imgsearch").level)
    with logging_to_stderr("json", "debug"):
        assert root.handlers != before[1]
    assert (root.level, root.handlers, logging.getLogger("imgsearch").level) == before
    assert warnings.showwarning.__module__ != "logging"


def test_traceback_is_part_of_the_json_line(capsys):
    with logging_to_stderr("json"):
        try:
            int("grund")
        except ValueError:
            _log.exception("misslungen")
    (line,) = json_lines(capsys)
    assert line["message"] == "misslungen"
    assert line["exception"].splitlines()[0] == "Traceback (most recent call last):"
    assert line["exception"].splitlines()[-1].startswith("ValueError: ")


def test_newest_lines_are_kept_while_a_service_logs(capsys):
    with logging_to_stderr("json", "debug", access=True):
        requested(answering)
        for number in range(3):
            _log.debug("zeile %d", number)
        lines = recent_lines()
        assert [line["message"] for line in lines[-3:]] == ["zeile 0", "zeile 1", "zeile 2"]
        assert lines[0]["request_id"]
        assert [line["level"] for line in recent_lines(level="warning")] == ["warning"]
        assert [line["message"] for line in recent_lines(1)] == ["zeile 2"]
        assert recent_lines(0) == []
        assert lines == json_lines(capsys)
        for number in range(1_200):
            _log.debug("%d", number)
        assert len(recent_lines(5_000)) == 1_000
    assert recent_lines() == []
