"""Access to a Milvus server with correct, wrong and missing credentials."""

import logging
from collections.abc import Callable, Iterator

import pytest

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
    with pytest.raises(BackendUnavailable, match=r"server is down, or refuses this user") as caught:
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
