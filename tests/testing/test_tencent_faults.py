"""Every fault of the emulator, as seen through the real SDK."""

import math
import time

import pytest

from imgsearch.errors import ConfigError
from imgsearch.testing.tencent import Emulator, Faults
from tests.testing.calls import VECTORS, filled, ids, refused
from tests.testing.conftest import KEY

NEW = {"id": "d", "vector": [0.0, 0.0, 1.0], "year": 2004}
UPSERT = "/document/upsert"


def strong(connect, emulator):
    from tcvectordb.model.enum import ReadConsistency

    client = connect(emulator, read_consistency=ReadConsistency.STRONG_CONSISTENCY)
    return client.database("db").collection("photos")


def test_eventual_reads_lag_and_strong_reads_do_not(client, emulator, connect):
    photos = filled(client)
    sure = strong(connect, emulator)
    emulator.faults.lag = 3
    photos.upsert([NEW])
    photos.delete(["a"])
    assert [
        photos.count(),
        ids(photos.query(["a", "d"])),
        len(photos.search([VECTORS["a"]])[0]),
    ] == [
        3,
        ["a"],
        3,
    ]
    assert ids(photos.query(limit=9)) == ["b", "c", "d"]  # the fourth read sees all
    photos.update({"year": 1}, document_ids=["b"])
    assert sure.query(["b"])[0]["year"] == 1
    assert sure.count(filter="year = 1") == len(sure.search([VECTORS["a"]], filter="year = 1")[0])
    assert photos.query(["b"])[0]["year"] == 2002


def test_settling_ends_an_endless_lag(client, emulator, connect):
    photos = filled(client)
    emulator.faults.lag = math.inf
    client.truncate_collection("db", "photos")
    assert {photos.count() for _ in range(20)} == {3}
    assert strong(connect, emulator).count() == 0
    emulator.settle()
    assert photos.count() == 0


def test_client_shortcut_drops_strong_consistency(emulator, connect, protocol):
    from tcvectordb.model.enum import ReadConsistency

    client = connect(emulator, read_consistency=ReadConsistency.STRONG_CONSISTENCY)
    photos = filled(client)
    emulator.faults.lag = math.inf
    photos.upsert([NEW])
    assert photos.count() == 4
    assert client.database("db").collection("photos").count() == 4
    # tcvectordb 2.1.1: over HTTP `client.collection()` forgets the client's options
    assert client.collection("db", "photos").count() == (3 if protocol == "http" else 4)
    assert client.count("db", "photos") == 4


def test_searches_fail_while_the_index_builds(client, emulator):
    photos = filled(client)
    emulator.faults.building = 3
    photos.upsert([NEW])
    with refused(13101):
        photos.search([VECTORS["a"]])
    status = client.describe_collection("db", "photos")
    assert status.index_status["status"] == "building index"
    with refused(13101):
        photos.rebuild_index()
    assert client.describe_collection("db", "photos").index_status["status"] == "ready"
    assert len(photos.search([VECTORS["a"]])[0]) == 4
    emulator.faults.building = math.inf
    photos.rebuild_index()
    with refused(13101):
        photos.searchById(["a"])
    assert photos.count() == 4
    emulator.settle()
    assert len(photos.searchById(["a"])[0]) == 4
    photos.upsert([{**NEW, "id": "e"}], build_index=False)
    assert len(photos.search([VECTORS["a"]])[0]) == 5


def test_frozen_flat_index_rejects_deletes_and_updates(client, emulator):
    flat, hnsw = filled(client, kind="FLAT"), filled(client, name="hnsw")
    emulator.faults.flat_frozen = True
    with refused(13200):
        flat.delete(["a"])
    with refused(13201):
        flat.update({"year": 1}, document_ids=["a"])
    assert hnsw.delete(["a"])["affectedCount"] == 1
    assert flat.count() == 3
    emulator.faults.flat_frozen = False
    assert flat.delete(["a"])["affectedCount"] == 1


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_http_faults_strike_before_or_after_the_write(client, emulator, protocol, status):
    from tcvectordb.exceptions import GrpcException, ServerInternalError

    photos = filled(client)
    kind, code = (ServerInternalError, status) if protocol == "http" else (GrpcException, -1)
    emulator.faults.fail(status, path=UPSERT)
    with pytest.raises(kind) as error:
        photos.upsert([NEW])
    assert error.value.code == code
    assert str(status) in str(error.value)
    assert photos.count() == 3
    emulator.faults.fail(status, applied=True, path=UPSERT)
    with pytest.raises(kind):
        photos.upsert([NEW])
    assert photos.count() == 4
    photos.upsert([NEW])
    assert emulator.calls[UPSERT] == 4  # the SDK repeats none of them


def test_connections_drop_before_or_after_the_write(client, emulator, protocol):
    from tcvectordb.exceptions import ConnectError, GrpcException

    photos = filled(client)
    kind = ConnectError if protocol == "http" else GrpcException
    emulator.faults.drop(path=UPSERT)
    with pytest.raises(kind):
        photos.upsert([NEW])
    assert photos.count() == 3
    emulator.faults.drop(applied=True, path=UPSERT)
    with pytest.raises(kind, match="UNAVAILABLE" if protocol == "grpc" else "aborted"):
        photos.upsert([NEW])
    assert photos.count() == 4
    assert emulator.calls[UPSERT] == 3


def test_sdk_repeats_a_dropped_get_but_no_post(emulator, connect, protocol):
    client = connect(emulator)
    from tcvectordb.exceptions import GrpcException

    emulator.faults.drop(calls=3, path="/database/list")
    if protocol == "http":  # the only GET; tcvectordb 2.1.1 retries it three times
        assert client.list_databases() == []
        assert emulator.calls["/database/list"] == 4
    else:
        with pytest.raises(GrpcException, match="UNAVAILABLE"):
            client.list_databases()
        assert emulator.calls["/database/list"] == 1


def test_slow_response_hits_the_client_timeout(emulator, connect, protocol):
    requests = pytest.importorskip("requests", reason="the SDK brings it")
    from tcvectordb.exceptions import GrpcException

    photos = filled(connect(emulator, timeout=0.3))
    emulator.faults.slow(60, path=UPSERT)
    # over HTTP the exception is not an SDK error
    kind = requests.exceptions.ReadTimeout if protocol == "http" else GrpcException
    with pytest.raises(kind, match="imed out" if protocol == "http" else "DEADLINE_EXCEEDED"):
        photos.upsert([NEW])
    began = time.monotonic()
    emulator.close()
    assert time.monotonic() - began < 10  # the slow call does not delay it


def test_slow_response_arrives_within_the_timeout(client, emulator):
    photos = filled(client)
    emulator.faults.slow(0.2)
    began = time.monotonic()
    assert photos.count() == 3
    assert time.monotonic() - began >= 0.2


def test_any_error_code_can_be_returned(client, emulator):
    photos = filled(client)
    emulator.faults.refuse(19999, "流量 limit", calls=2, path="/document/count")
    for _ in range(2):
        with refused(19999) as error:
            photos.count()
        assert error.value.message == "流量 limit"
    assert photos.count() == 3


def test_faults_are_used_in_order_and_can_be_cleared():
    faults = Faults()
    faults.fail(500, path="/a")
    faults.fail(502, calls=2)
    assert [faults.take(path).status for path in ("/b", "/a", "/a", "/a")] == [502, 500, 502, None]
    faults.drop(calls=5)
    assert "queued=5" in repr(faults)
    faults.clear()
    assert faults.take("/a").status is None


@pytest.mark.parametrize(
    "wrong",
    [
        lambda faults: faults.fail(200),
        lambda faults: faults.fail(calls=0),
        lambda faults: faults.refuse(0),
        lambda faults: faults.slow(61),
        lambda faults: faults.slow(-1),
        lambda faults: faults.drop(calls=0),
    ],
)
def test_invalid_fault_is_rejected(wrong):
    with pytest.raises(ConfigError):
        wrong(Faults())


def test_status_of_a_wrong_key_is_configurable(emulator, connect, protocol):
    from tcvectordb.exceptions import GrpcException, ServerInternalError

    emulator.faults.unauthorised = 503
    kind = ServerInternalError if protocol == "http" else GrpcException
    with pytest.raises(kind, match="API key"):  # the SDK's own hint for a 5xx and for UNAVAILABLE
        connect(emulator, key="wrong").list_databases()


def test_closed_emulator_refuses_requests(connect, protocol):
    from tcvectordb.exceptions import ConnectError, GrpcException

    with Emulator(key=KEY, rpc_port=0) as emulator:
        client = connect(emulator, timeout=5)
        assert client.list_databases() == []  # the connection is kept open
    with pytest.raises(ConnectError if protocol == "http" else GrpcException):
        client.list_databases()
    emulator.close()
