"""Idle, slow and non-reading connections, while other requests are served."""

import asyncio
import errno
import json
import logging
import resource
import socket
from contextlib import suppress
from http.client import HTTPResponse

import pytest
from fastapi.responses import Response, StreamingResponse

from imgsearch.service import Limits
from imgsearch.service.connections import (
    Notice,
    accept_failures,
    connections_for,
    raise_descriptors,
)
from tests.service.running import running
from tests.service.topologies import plain

LIVE = b"GET /v1/live HTTP/1.1\r\nHost: localhost\r\n\r\n"
MOST = 6
HUGE = 12_000_000  # bytes, more than the system keeps for a client that does not read


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    folder = tmp_path_factory.mktemp("connections")
    limits = Limits(connections=MOST, head_seconds=1, idle_seconds=1, stall_seconds=1)
    with running(plain(folder / "places"), folder / "data", limits=limits, auth=False) as service:
        service.app.add_api_route("/huge", lambda: Response(bytes(HUGE)))
        service.http.close()  # it would count as a connection
        yield service


@pytest.fixture
def connect(service):
    """Return a function that connects to the service and sends bytes."""
    sockets = []

    def connect(data=b"", **options):
        address = ("127.0.0.1", service.http.base_url.port)
        connection = socket.socket()
        for name, value in options.items():
            connection.setsockopt(socket.SOL_SOCKET, getattr(socket, name), value)
        connection.settimeout(30)
        connection.connect(address)
        connection.sendall(data)
        sockets.append(connection)
        return connection

    yield connect
    for connection in sockets:
        connection.close()


def heard(caplog):
    """Capture uvicorn's log, which does not propagate to the root logger."""
    logging.getLogger("uvicorn.error").addHandler(caplog.handler)


def received(connection):
    """Return all bytes until the service closes the connection."""
    data = b""
    with suppress(ConnectionResetError):  # closed before the service read all bytes
        while part := connection.recv(65_536):
            data += part
    return data


def answered(connection):
    """Read the next response to its end; return its status."""
    with HTTPResponse(connection) as response:
        response.begin()
        response.read()
        return response.status


def partial_search(body=b"{", length=100):
    """Return the start of a search whose body is incomplete."""
    head = "POST /v1/search HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {length}\r\nExpect: 100-continue\r\n\r\n".encode() + body


def test_connection_that_sends_nothing_is_closed(connect):
    assert received(connect()) == b""


def test_slow_head_gets_status_408(connect):
    connection = connect(b"GET /v1/live HTTP/1.1\r\nX: ")
    connection.settimeout(0.05)
    data = b""
    while not data:
        try:
            data = connection.recv(65_536)
        except TimeoutError:
            connection.sendall(b"a")
    assert data.startswith(b"HTTP/1.1 408 ")
    assert json.loads(data.partition(b"\r\n\r\n")[2])["code"] == "request_timeout"


def test_second_head_also_has_a_deadline(connect):
    connection = connect(LIVE)
    assert answered(connection) == 200
    connection.sendall(LIVE[:20])
    assert received(connection) == b""


def test_idle_keep_alive_connection_is_closed(connect):
    connection = connect(LIVE)
    assert answered(connection) == 200
    connection.sendall(LIVE)
    assert answered(connection) == 200
    assert received(connection) == b""


def test_body_may_take_longer_than_a_head(connect):
    search = json.dumps({"text": "a dog", "collection": "nowhere"}).encode()
    connection = connect(partial_search(search[:5], len(search)))
    assert received(connect()) == b""  # waits for the time limit of a head
    connection.sendall(search[5:])
    assert answered(connection) == 404


def test_rejected_body_that_continues_is_disconnected(connect):
    head = b"POST /v1/nothing HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n"
    connection = connect(head)
    assert answered(connection) == 404
    connection.sendall(b"x")
    assert received(connection) == b""


def test_client_that_reads_nothing_is_disconnected(connect):
    huge = b"GET /huge HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    connection = connect(huge, SO_RCVBUF=4_096)
    assert len(received(connect(huge))) > HUGE  # a reading client gets the whole response
    for _ in range(2):  # the deadlines of these pass meanwhile
        assert received(connect()) == b""
    assert len(received(connection)) < HUGE


def test_idle_connections_make_room_for_requests(connect):
    idle = [connect(b"G") for _ in range(MOST)]
    for _ in range(3):
        assert answered(connect(LIVE)) == 200
    refused = received(idle[0])
    assert refused.startswith(b"HTTP/1.1 503 ")
    assert b"\r\nRetry-After: 5\r\n" in refused


def test_request_beyond_the_limit_gets_status_503(connect):
    busy = [connect(partial_search()) for _ in range(MOST)]
    assert {connection.recv(100)[:12] for connection in busy} == {b"HTTP/1.1 100"}
    refused = received(connect(LIVE))
    assert refused.startswith(b"HTTP/1.1 503 ")
    assert b"\r\nRetry-After: 5\r\n" in refused
    assert json.loads(refused.partition(b"\r\n\r\n")[2])["code"] == "busy"
    busy[0].sendall(b" " * 99)
    assert answered(busy[0]) == 422
    assert answered(connect(LIVE)) == 200


def test_upgrade_offer_is_ignored(connect, caplog):
    heard(caplog)
    offer = b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\r\n"
    assert answered(connect(LIVE[:-2] + offer)) == 200
    assert caplog.messages == []


def test_open_page_does_not_delay_the_shutdown(tmp_path, caplog):
    async def endless():
        while True:
            yield "data: ü\n\n"
            await asyncio.sleep(0.01)

    def stream():
        return StreamingResponse(endless(), media_type="text/event-stream")

    path = "/gradio_api/heartbeat/eins"
    with (
        socket.socket() as connection,  # open until the service has stopped
        running(plain(tmp_path / "a"), tmp_path / "b", auth=False) as service,
    ):
        heard(caplog)
        service.app.add_api_route(path, stream)
        connection.connect(("127.0.0.1", service.http.base_url.port))
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        assert b" 200 OK" in connection.recv(1_000)
    assert caplog.messages == []  # otherwise it logs an exceeded graceful shutdown


def test_failed_accepts_are_logged_once(caplog):
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(accept_failures(Notice()))
    error = OSError(errno.EMFILE, "Too many open files")
    with socket.socket() as place:
        for _ in range(100):
            message = "socket.accept() out of system resource"
            loop.call_exception_handler({"message": message, "exception": error, "socket": place})
    loop.call_exception_handler({"message": "another fault"})
    loop.close()
    accepts, other = caplog.messages
    assert accepts == ("no connection can be accepted: Too many open files. Raise `ulimit -n`.")
    assert other == "another fault"


def test_connections_leave_descriptors_for_files(caplog):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (512, hard))
        with caplog.at_level(logging.WARNING):
            assert 16 <= connections_for(Limits()).most < 400
        assert "Raise `ulimit -n`" in caplog.text
        raise_descriptors()
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (min(hard, 16_384), hard)
        assert connections_for(Limits(connections=10)).most == 10
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
