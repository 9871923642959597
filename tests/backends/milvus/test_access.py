"""Access to a Milvus server with correct, wrong and missing credentials."""

import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from urllib.parse import urlsplit

import pytest

from imgsearch import settings
from imgsearch.backends import Schema, connect
from imgsearch.backends.milvus.backend import Backend
from imgsearch.errors import BackendError, BackendUnavailable, CollectionNotFound
from imgsearch.testing.contract.bench import unit
from imgsearch.types import Record
from tests.conftest import Place

pytestmark = pytest.mark.servers
SECRET = "Gehe1mnis✱"  # noqa: S105  # to be looked for in messages


@pytest.fixture
def place(place_of: Callable[[str], Place]) -> Place:
    place = place_of("milvus")
    if place[1] is None:
        pytest.skip("the server that IMGSEARCH_TEST_MILVUS names asks for no password")
    return place


@pytest.fixture
def store(place: Place) -> Iterator[Backend]:
    with connect(place[0], token=place[1]) as opened:
        assert isinstance(opened, Backend)
        yield opened


def chain_text(error: BaseException | None) -> str:
    """Return the text of an error and of its causes."""
    chain: list[BaseException] = []
    while error is not None and error not in chain:  # pymilvus 3.0.2 raises errors from themselves
        chain.append(error)
        error = error.__cause__ or error.__context__
    return "\n".join(f"{one} {one!r} {one.args}" for one in chain)


@pytest.mark.parametrize(
    "token", [None, "", f"root:{SECRET}", f"nobody:{SECRET}", SECRET, "root:"], ids=repr
)
def test_wrong_or_missing_password_is_rejected_without_being_shown(
    place: Place,
    token: str | None,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG, logger="imgsearch")
    with pytest.raises(BackendUnavailable, match=r"refuses this user or token") as caught:
        connect(place[0], token=token)
    output = capfd.readouterr()
    everything = chain_text(caught.value) + caplog.text + output.out + output.err
    assert SECRET not in everything


def test_wrong_password_is_rejected_despite_an_open_connection(
    place: Place, store: Backend
) -> None:
    with pytest.raises(BackendUnavailable):
        connect(place[0], token=f"root:{SECRET}")
    assert connect(place[0], token=place[1]) is store
    store.close()
    assert isinstance(store.names(), list)


def test_operators_share_the_connection_that_a_program_opened(place: Place, store: Backend) -> None:
    with connect(place[0]) as shared:  # operators know only the URL
        assert shared is store
    assert isinstance(store.names(), list)


def test_closed_connection_is_not_shared(place: Place) -> None:
    connect(place[0], token=place[1]).close()
    with pytest.raises(BackendUnavailable):
        connect(place[0])


def test_token_is_in_no_repr(place: Place, store: Backend) -> None:
    assert place[1] is not None
    password = place[1].partition(":")[2]
    text = repr(store) + repr(vars(store))
    assert f":{password}" not in text
    assert place[1] not in text


def test_user_without_rights_gets_access_denied(place: Place, store: Backend) -> None:
    with store.calling() as client:
        client.create_user("fritz", SECRET.replace("✱", "_"))
    name = "not_for_fritz"
    try:
        collection = store.create(name, Schema(4))
        collection.upsert([Record("鱼", unit(0))])
        with (
            pytest.raises(BackendError, match="(?i)permission|privilege") as caught,
            connect(place[0], token=f"fritz:{SECRET.replace('✱', '_')}") as theirs,
        ):
            theirs.open(name).count()
        assert not isinstance(caught.value, BackendUnavailable)
        assert SECRET[:-1] not in chain_text(caught.value)
    finally:
        store.drop(name)
        with store.calling() as client:
            client.drop_user("fritz")


def test_database_has_separate_aliases_and_releases_collections(
    place: Place,
) -> None:
    """Milvus 2.3.5 looks up aliases in the default database unless the call names another one."""
    from pymilvus import MilvusClient

    server = place[0].rpartition("/")[0]
    admin = MilvusClient(server.replace("milvus://", "http://"), token=place[1] or "")
    admin.create_database("eigene")
    try:
        with (
            connect(f"{server}/eigene", token=place[1]) as own,
            connect(place[0], token=place[1]) as default,
        ):
            for database, name in ((own, "bilder"), (default, "andere")):
                database.create(name, Schema(4)).upsert([Record("ü", unit(1))])
            own.set_alias("heute", "bilder")
            assert own.open("heute").count() == 1
            with pytest.raises(CollectionNotFound):
                default.open("heute")
            own.drop("bilder")
            assert own.names() == []
            assert default.open("andere").count() == 1
            with pytest.raises(CollectionNotFound):
                own.drop_alias("heute")
            default.drop("andere")
    finally:
        admin.drop_database("eigene")
        admin.close()


class Relay:
    """Relays connections to a server while `open` is set; `close` resets them."""

    def __init__(self, host: str, port: int) -> None:
        self._target = host, port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.open = threading.Event()
        self.open.set()
        self._sockets = [self._listener]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):  # closed
            while True:
                client, server = self._listener.accept()[0], socket.create_connection(self._target)
                self._sockets += [client, server]
                for pair in ((client, server), (server, client)):
                    threading.Thread(target=self._copy, args=pair, daemon=True).start()

    def _copy(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65_536):
                self.open.wait()
                target.sendall(data)

    def close(self) -> None:
        for one in self._sockets:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()


@pytest.fixture
def relay(place: Place) -> Iterator[Relay]:
    """Return a relay to the server."""
    parts = urlsplit(place[0])
    started = Relay(parts.hostname or "", parts.port or 0)
    yield started
    started.open.set()
    started.close()


def test_call_outlasts_a_pause_in_which_connecting_fails(
    place: Place, relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "_CONNECT", 1.0)
    address = f"milvus://127.0.0.1:{relay.port}"
    with connect(address, token=place[1]) as store, ThreadPoolExecutor(1) as caller:
        before = store.names()
        relay.open.clear()
        pending = caller.submit(store.names)
        with pytest.raises(BackendUnavailable, match="no response from .* within 1 s"):
            connect(address, token="another:token")
        assert not pending.done()
        relay.open.set()
        assert pending.result(60) == before


def test_call_to_a_stopped_server_fails_at_once(place: Place, relay: Relay) -> None:
    with connect(f"milvus://127.0.0.1:{relay.port}", token=place[1]) as store:
        assert isinstance(store.names(), list)
        relay.close()
        start = time.monotonic()
        with pytest.raises(BackendUnavailable, match="cannot connect to .*refused"):
            store.names()
        assert time.monotonic() - start < settings.TIMEOUT / 2  # milliseconds, and reserve
