"""Quirks of tcvectordb 2.1.1, shown with the emulator, that an adapter must hide."""

import numpy as np
import pytest

from imgsearch.testing.tencent import Emulator
from tests.testing.calls import VECTORS, collection, filled
from tests.testing.conftest import KEY

ONE = [1.0, 0.0, 0.0]


@pytest.fixture(autouse=True)
def _sdk() -> None:
    pytest.importorskip("tcvectordb", reason="the SDK is not installed (pip install tcvectordb)")


def test_grpc_caches_a_dropped_collection(client, protocol):
    filled(client)
    db = client.database("db")
    assert db.exists_collection("photos")
    db.drop_collection("photos")
    assert db.exists_collection("photos") is (protocol == "grpc")  # for 3 seconds
    assert not client.exists_collection("db", "photos")


def test_timed_out_get_is_retried_so_the_timeout_is_fourfold(emulator, connect, protocol):
    from tcvectordb.exceptions import ConnectError, GrpcException

    emulator.faults.slow(60, calls=9)
    with pytest.raises(ConnectError if protocol == "http" else GrpcException):
        connect(emulator, timeout=0.1).list_databases()
    assert emulator.calls["/database/list"] == (4 if protocol == "http" else 1)


def test_https_without_a_tls_config_is_plain_text_over_grpc(emulator):
    import tcvectordb

    client = tcvectordb.RPCVectorDBClient(emulator.rpc_url.replace("http", "https"), "root", KEY)
    assert client.list_databases() == []  # the emulator has no TLS, so the key went in clear text
    client.close()


def test_numpy_scalars_are_lost_over_grpc_and_rejected_over_http(client, protocol):
    photos = collection(client)
    row = {"id": "a", "vector": ONE, "year": np.int64(2001), "size": np.float32(1)}
    if protocol == "http":
        with pytest.raises(TypeError, match="not JSON serializable"):
            photos.upsert([row])
    else:
        photos.upsert([row])
        assert photos.query(["a"]) == [{"id": "a", "score": 0.0}]


def test_nan_raises_a_requests_exception_over_http(client, protocol):
    requests = pytest.importorskip("requests", reason="the SDK brings it")
    from tcvectordb.exceptions import ServerInternalError

    photos = collection(client)
    kind = requests.exceptions.InvalidJSONError if protocol == "http" else ServerInternalError
    with pytest.raises(kind):
        photos.upsert([{"id": "a", "vector": [float("nan"), 0.0, 1.0]}])


def test_grpc_rounds_scores_except_in_pd_objects(emulator):
    import tcvectordb

    client = tcvectordb.RPCVectorDBClient(emulator.rpc_url, "root", KEY)
    photos = filled(client)
    query = [VECTORS["a"]]
    exact = photos.search(query, return_pd_object=True)[0][1].score
    assert exact == float(np.float32(4 / (3 * 5**0.5)))
    assert photos.search(query)[0][1]["score"] == round(exact, 5) != exact
    client.close()


def test_in_filter_escapes_nothing(client):
    from tcvectordb.exceptions import ServerInternalError
    from tcvectordb.model.document import Filter

    photos = filled(client)
    assert photos.count(filter=Filter(Filter.In("path", ["写真/a.png"]))) == 1
    with pytest.raises(ServerInternalError):
        photos.count(filter=Filter(Filter.In("path", ['a"b'])))


def test_swapped_ports_fail_at_once():
    import tcvectordb

    with Emulator(key=KEY, rpc_port=0) as emulator:
        swapped = tcvectordb.RPCVectorDBClient(emulator.url, "root", KEY, timeout=5)
        with pytest.raises(tcvectordb.exceptions.GrpcException, match="UNAVAILABLE"):
            swapped.list_databases()
        swapped.close()
        swapped = tcvectordb.VectorDBClient(emulator.rpc_url, "root", KEY, timeout=5)
        with pytest.raises(tcvectordb.exceptions.ConnectError, match="aborted"):
            swapped.list_databases()
        swapped.close()
