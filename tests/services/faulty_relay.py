"""A TCP relay on loopback that can cut, refuse, delay or spoil connections to a server."""

import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Literal, Self

Mode = Literal["pass", "cut", "refuse", "busy", "slow", "half"]

CHUNK: Final = 2**16
PIECES: Final = 8  # of a slow response
PAUSE: Final = 0.2  # seconds between two pieces
_BODY: Final = b"<?xml version='1.0'?><Error><Code>SlowDown</Code><Message>busy</Message></Error>"
BUSY: Final = (
    b"HTTP/1.1 503 Slow Down\r\nContent-Type: application/xml\r\nConnection: close\r\n"
    b"Content-Length: %d\r\n\r\n%b" % (len(_BODY), _BODY)
)


class FaultyRelay:
    """Relays connections from `port` to the port that `target` returns, unless a fault is set.

    Faults, by the mode:

    - cut: nothing passes in either direction. Bytes that were sent pass later, as packets do that
      TCP sends again. New connections are accepted, and wait.
    - refuse: all connections break, and new ones are refused.
    - busy: each request gets a response 503 of S3, and does not reach the server.
    - slow: responses come in pieces.
    - half: the server gets the request; the connection breaks in the middle of its response.
    """

    def __init__(self, target: Callable[[], int]) -> None:
        self._target = target
        self._mode: Mode = "pass"
        self._open = threading.Event()
        self._open.set()
        self._connections: set[socket.socket] = set()
        self._lock = threading.Lock()
        self.faults = 0  # connections and chunks that a fault affected
        self._listener = self._listen(0)
        self.port = int(self._listener.getsockname()[1])

    def set(self, mode: Mode) -> None:
        """Start a fault, or end it with "pass"."""
        before, self._mode = self._mode, mode
        if mode == "refuse":
            self._shut(self._listener)
            self.drop()
        elif before == "refuse":
            self._listener = self._listen(self.port)
        if mode == "cut":
            self._open.clear()
        else:
            self._open.set()

    def drop(self) -> None:
        """Break all connections."""
        with self._lock:
            connections = list(self._connections)
        for connection in connections:
            self._shut(connection)

    def close(self) -> None:
        """Stop. Idempotent."""
        self._mode = "pass"
        self._open.set()
        self._shut(self._listener)
        self.drop()

    def _listen(self, port: int) -> socket.socket:
        listener = socket.create_server(("127.0.0.1", port), backlog=128)
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()
        return listener

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):  # the listener was shut
            while True:
                client, _ = listener.accept()
                threading.Thread(target=self._relay, args=(client,), daemon=True).start()
        listener.close()

    def _relay(self, client: socket.socket) -> None:
        with client:
            self._wait()
            try:
                server = socket.create_connection(("127.0.0.1", self._target()))
            except OSError:  # the server is down
                return
            with self._lock:
                self._connections |= {client, server}
            with suppress(OSError):
                for end in (client, server):
                    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            back = threading.Thread(target=self._pump, args=(server, client), daemon=True)
            back.start()
            self._pump(client, server, requests=True)
            back.join()
            with self._lock:
                self._connections -= {client, server}
            server.close()

    def _pump(self, source: socket.socket, sink: socket.socket, *, requests: bool = False) -> None:
        """Copy one direction and its end, with the faults of its kind."""
        with suppress(OSError):
            while chunk := source.recv(CHUNK):
                self._wait()
                mode = self._mode
                if mode == "busy" and requests:
                    self.faults += 1
                    source.sendall(BUSY)
                    self._shut(source)
                    break
                if mode == "half" and not requests:
                    self.faults += 1
                    sink.sendall(chunk[: len(chunk) // 2])
                    self._shut(sink)
                    break
                if mode == "slow" and not requests:
                    self._trickle(chunk, sink)
                else:
                    sink.sendall(chunk)
            self._wait()
        with suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def _trickle(self, chunk: bytes, sink: socket.socket) -> None:
        self.faults += 1
        step = -(-len(chunk) // PIECES)
        for start in range(0, len(chunk), step):
            time.sleep(PAUSE)
            sink.sendall(chunk[start : start + step])

    def _wait(self) -> None:
        if not self._open.is_set():
            self.faults += 1
            self._open.wait()

    @staticmethod
    def _shut(one: socket.socket) -> None:
        with suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
