"""The relay that fails: what each fault does to a connection."""

import socket
import threading
from contextlib import contextmanager

import pytest

from tests.services.faulty_relay import BUSY, FaultyRelay


@contextmanager
def echo():
    """Yield a relay to a server that returns what it receives."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with client:
                while data := client.recv(1_000):
                    client.sendall(data)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    with FaultyRelay(lambda: listener.getsockname()[1]) as relay:
        yield relay
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


def connected(relay):
    return socket.create_connection(("127.0.0.1", relay.port), timeout=20)


def test_nothing_passes_a_cut_and_everything_after_it():
    with echo() as relay, connected(relay) as client:
        client.sendall(b"one")
        assert client.recv(9) == b"one"
        relay.set("cut")
        client.sendall("größe".encode())
        client.settimeout(0.2)
        with pytest.raises(TimeoutError):
            client.recv(9)
        client.settimeout(20)
        relay.set("pass")
        assert client.recv(9) == "größe".encode()
        assert relay.faults > 0


def test_refused_connections_break_and_are_possible_again():
    with echo() as relay:
        with connected(relay) as client:
            client.sendall(b"one")
            assert client.recv(9) == b"one"
            relay.set("refuse")
            assert client.recv(9) == b""
        with pytest.raises(ConnectionRefusedError):
            connected(relay)
        relay.set("pass")
        with connected(relay) as client:
            client.sendall(b"two")
            assert client.recv(9) == b"two"


@pytest.mark.parametrize(("mode", "received"), [("half", b"ab"), ("busy", BUSY)])
def test_responses_are_spoiled_and_the_connection_ends(mode, received):
    with echo() as relay, connected(relay) as client:
        relay.set(mode)
        client.sendall(b"abcd")
        data = b""
        while part := client.recv(1_000):
            data += part
        assert data == received
