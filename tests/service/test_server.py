"""`imgsearch serve` as a process: messages, shutdown and restart."""

import logging
import re
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager

import httpx
import pytest
from click.testing import CliRunner

from imgsearch.archive import Incoming
from imgsearch.backends import Schema, connect
from imgsearch.cli import cli
from imgsearch.service import Limits, server
from tests.archive.place import archive
from tests.conftest import ENVIRONMENT
from tests.service.running import jpeg, served


@contextmanager
def process(*words):
    """Run `imgsearch serve` on a free port; yield its client and the process."""
    command = [sys.executable, "-m", "imgsearch", "serve", "--port", "0", *map(str, words)]
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env={**ENVIRONMENT, "COLUMNS": "200"}
    ) as running:
        lines = []
        try:
            for line in running.stderr:
                lines.append(line)
                if match := re.search(r"http://[^ ,]+", line):
                    break
            else:
                pytest.fail("".join(lines))
            with httpx.Client(base_url=match[0], timeout=60) as client:
                yield client, running
        finally:
            running.kill()


@pytest.mark.process
def test_serve_stops_on_a_signal_and_restarts(tmp_path, monkeypatch):
    data = tmp_path / "größe"
    created = CliRunner().invoke(
        cli, ["keys", "create", "я", "--scope", "admin", "--data", str(data)]
    )
    assert created.exit_code == 0, created.output
    key = {"Authorization": f"Bearer {created.stdout.split()[0]}"}
    with process("--data", data, "--no-page") as (client, running):
        assert client.get("/v1/count").status_code == 401
        added = client.post("/v1/images", files={"file": ("кот.jpg", jpeg(1))}, headers=key)
        assert added.status_code == 201, added.text
        assert client.get("/", follow_redirects=True).status_code == 200  # the documentation
        running.send_signal(signal.SIGTERM)
        rest = running.stderr.read()
        assert running.wait(30) == 0
        assert "größe" in rest
        assert "key" in rest
        assert "Traceback" not in rest
    assert {path.name for path in data.iterdir()} >= {"vectors.db", "catalog.db", "originals"}
    assert data.stat().st_mode & 0o077 == 0  # private to the owner
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with process("--data", data, "--no-auth") as (client, running):
        hits = client.post("/v1/search", files={"file": jpeg(1)}).json()["hits"]
        assert [hit["name"] for hit in hits] == ["кот.jpg"]
        assert client.get("/v1/health").json()["status"] == "ok"
        sent = client.post("/gradio_api/upload", files={"files": ("ü.png", b"no image")})
        assert sent.status_code == 200
        (folder,) = tmp_path.glob("imgsearch-page-*")
        assert [path.name for path in folder.rglob("*.png")] == ["ü.png"]
        running.send_signal(signal.SIGTERM)
        assert running.wait(60) == 0
    assert list(tmp_path.glob("imgsearch-page-*")) == []


def test_failed_start_prints_the_reason_in_one_line(tmp_path):
    for words, why in (
        (["--host", "0.0.0.0"], "no API key exists yet"),  # noqa: S104 - what is refused
        (["--host", "0.0.0.0", "--no-auth"], "other machines can reach"),  # noqa: S104 - as above
        ([], "--no-auth"),
        (["--no-auth", "--cors", "*"], "is not an origin"),
        (["--no-auth", "--weights", __file__], "without a model"),
        (["--no-auth", "--behind-proxy", "10.0.0.1"], "gives access to others"),
    ):
        result = CliRunner().invoke(cli, ["serve", "--data", str(tmp_path / "a"), *words])
        assert result.exit_code == 1, (words, result.output)
        assert why in result.output
        assert result.output.count("\n") == 1, result.output


def check(*words):
    return CliRunner().invoke(cli, ["serve", "--check", *map(str, words)])


def states(result):
    """Return the first column of the table by the second."""
    rows = [line.split("\t") for line in result.stdout.splitlines()[1:]]
    return {row[1]: row[0] for row in rows}


def test_check_of_a_new_service_creates_nothing(tmp_path):
    result = check("--data", tmp_path / "größe", "--no-auth", "--model", "classic", "--port", 0)
    assert result.exit_code == 0, result.output
    assert states(result)["encoder of new collections"] == "ok"
    assert states(result)[f"archive {tmp_path / 'größe'}"] == "–"
    assert list(tmp_path.iterdir()) == []


def test_check_names_each_fault_at_once(tmp_path):
    with server.listening("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        result = check(
            "--data", tmp_path, "--model", "kein-modell", "--cors", "*", "--port", port,
        )  # fmt: skip
    assert result.exit_code == 1
    wrong = {what for what, state in states(result).items() if state == "WRONG"}
    assert wrong == {
        "encoder of new collections", "options of access", "keys", f"port {port} of 127.0.0.1",
    }  # fmt: skip
    assert "no API key exists yet" in result.stdout
    assert list(tmp_path.iterdir()) == []


def test_check_of_an_existing_service_loads_its_encoder(tmp_path):
    with archive(tmp_path, db=str(tmp_path / "vectors.db")) as opened:
        opened.add([Incoming("a.jpg", data=jpeg(1))])
    arguments = ("--data", tmp_path, "--no-auth", "--port", 0, "--model", "classic")
    result = check(*arguments, "--db", tmp_path / "vectors.db")
    assert result.exit_code == 0, result.output
    assert states(result)["encoder of the collection images"] == "ok"
    result = check(*arguments, "--host", "0.0.0.0")  # noqa: S104 - what is refused
    assert result.exit_code == 1
    assert states(result)["keys"] == "WRONG"


def test_small_responses_are_sent_without_delay():
    """Nagle's algorithm and delayed acknowledgements made every search 40 ms longer."""
    with (
        server.listening("127.0.0.1", 0) as place,
        socket.create_connection(place.getsockname()),
    ):
        accepted, _ = place.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_service_starts_with_collections_of_other_programs(tmp_path, caplog):
    db = "memory://serving-strangers"
    caplog.set_level(logging.WARNING, logger="imgsearch")  # other tests may have changed the level
    with connect(db) as store, archive(tmp_path, db=db) as opened:
        store.create("images", Schema(7))
        server.warm(opened)
        assert server.mend(opened, alone=True).left == 1
        assert "collection 'images' is skipped" in caplog.text
        with (
            server.running(opened, keys=None, limits=Limits(), page=False) as app,
            served(app) as url,
            httpx.Client(base_url=url) as service,
        ):
            assert service.get("/v1/models").json()["default"] == ""
            assert service.get("/v1/collections").json() == {"collections": []}
            for answer in (
                service.get("/v1/count"),
                service.post("/v1/search", json={"text": "dog"}),
                service.post("/v1/images", files={"file": ("a.jpg", jpeg(0))}),
            ):
                assert (answer.status_code, answer.json()["code"]) == (409, "schema_mismatch")
