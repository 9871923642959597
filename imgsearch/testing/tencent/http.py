"""Serves HTTP/1.1 with keep-alive, for `tcvectordb.VectorDBClient`."""

import contextlib
import http.server
import json
import logging
import socket
import socketserver
import sys
import threading
from typing import Any, NoReturn

import numpy as np
from typing_extensions import override

from imgsearch.testing.tencent.codes import SYNTAX, Broken, Refused
from imgsearch.testing.tencent.schema import Body
from imgsearch.testing.tencent.service import Service

logger = logging.getLogger(__name__)


class HttpServer(http.server.ThreadingHTTPServer):
    """An HTTP server with one thread for each connection."""

    daemon_threads = True
    request_queue_size = 128  # connections that wait to be accepted

    def __init__(self, service: Service, host: str, port: int, max_body: int) -> None:
        self.service, self.max_body = service, max_body
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        super().__init__((host, port), _Handler)
        # 0.01 s between checks for shutdown, so that `close` is fast
        serve = threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True)
        self._thread = serve
        self._thread.start()

    @override
    def server_bind(self) -> None:
        """Bind without a DNS lookup of this machine's name, which can take seconds."""
        socketserver.TCPServer.server_bind(self)
        self.server_port = int(self.server_address[1])

    @override
    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            self._open.add(request)
        super().process_request(request, client_address)

    @override
    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._open.discard(request)
        super().shutdown_request(request)

    @override
    def handle_error(self, request: Any, client_address: Any) -> None:
        error = sys.exception()
        level = logging.DEBUG if isinstance(error, OSError) else logging.ERROR
        logger.log(level, "connection from %s ended", client_address, exc_info=error)

    def close(self) -> None:
        """Stop listening, and close all connections."""
        self.shutdown()
        self._thread.join()
        self.server_close()
        with self._lock:
            for request in self._open:
                with contextlib.suppress(OSError):  # the client closed it first
                    request.shutdown(socket.SHUT_RDWR)


class _Handler(http.server.BaseHTTPRequestHandler):
    """Handles the requests of one connection."""

    server: HttpServer
    protocol_version = "HTTP/1.1"
    wbufsize = 65_536  # sends head and body together; Nagle would delay the body by 40 ms
    timeout = 300  # seconds until an idle connection is closed

    def do_GET(self) -> None:
        self._serve("GET")

    def do_POST(self) -> None:
        self._serve("POST")

    @override
    def log_message(self, format: str, *args: Any) -> None:
        logger.debug(format, *args)

    def _serve(self, method: str) -> None:
        try:
            content = self._content(method)
            authorization = self.headers.get("Authorization", "")
            envelope = self.server.service.answer(self.path, authorization, lambda: _body(content))
        except Broken as broken:
            if broken.status:
                self._send(broken.status, b"emulated failure", "text/plain")
            else:
                self._cut()
            return
        self._send(200, json.dumps(envelope, default=_plain).encode(), "application/json")

    def _content(self, method: str) -> bytes:
        """Read the request body.

        Raises:
            Broken: 405, the method is wrong; 411, the length is missing or invalid; 413, the body
                is too large.
        """
        length = self.headers.get("Content-Length", "0")
        if self.headers.get("Transfer-Encoding") or not (length.isascii() and length.isdigit()):
            self.close_connection = True
            raise Broken(411)
        if int(length) > self.server.max_body:
            self.close_connection = True  # the rest of the body is not read
            raise Broken(413)
        content = self.rfile.read(int(length))
        if method != ("GET" if self.path == "/database/list" else "POST"):
            raise Broken(405)
        return content

    def _send(self, status: int, content: bytes, type_: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", type_)
        self.send_header("Content-Length", str(len(content)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(content)
        self.wfile.flush()

    def _cut(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)


def _body(content: bytes) -> Body:
    """Parse the JSON object in a request. An empty body is an empty object."""
    try:
        body = json.loads(content or b"{}", parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise Refused(SYNTAX, "the body is not JSON") from None
    if not isinstance(body, dict):
        raise Refused(SYNTAX, "the body is not a JSON object")
    return body


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _plain(value: object) -> list[float]:
    """Convert a vector to a list for JSON, without rounding."""
    if isinstance(value, np.ndarray):
        return [float(number) for number in value]
    raise TypeError(f"{type(value).__name__} in a response")
