"""Access over HTTP: keys, scopes, rate limits and limits of concurrent work."""

import json
import logging
import socket
import threading

import anyio
import pytest

from imgsearch.archive import Incoming
from imgsearch.archive.access import Keys
from imgsearch.catalog import Catalog
from imgsearch.errors import ConfigError
from imgsearch.logs import logging_to_stderr
from imgsearch.service import Limits, server
from imgsearch.service.origins import checked
from imgsearch.service.scopes import Access
from tests.service.running import jpeg, running
from tests.service.topologies import plain

READS = ("/v1/images", "/v1/count", "/v1/collections", "/v1/jobs", "/v1/models", "/metrics")
OPEN = ("/v1/live", "/v1/ready", "/v1/health", "/openapi.json", "/docs")


@pytest.mark.long
def test_scope_allows_its_own_and_lesser_operations(service, empty):
    for path in OPEN:
        assert service.client().get(path).status_code == 200, path
    for path in READS:
        assert service.client().get(path).status_code == 401, path
        assert service.client("read").get(path).status_code == 200, path
    upload = {"files": {"file": jpeg(1)}, "data": {"collection": empty}}
    drop = f"/v1/collections/{empty}?confirm={empty}"
    for scope, added, dropped in (("read", 403, 403), ("write", 201, 403), ("admin", 200, 200)):
        client = service.client(scope)
        assert client.post("/v1/images", **upload).status_code == added
        answer = client.delete(drop)
        assert answer.status_code == dropped
    assert answer.json() == {"deleted": 1}
    header = {"X-API-Key": service.secrets["read"]}
    assert service.client().get("/v1/images", headers=header).status_code == 200


def first_status(service, key, head):
    """Return the first status of a request with `Expect: 100-continue`."""
    address = ("127.0.0.1", service.http.base_url.port)
    with socket.create_connection(address, timeout=30) as connection:
        head += f"Host: localhost\r\nX-API-Key: {key}\r\nExpect: 100-continue\r\n"
        connection.sendall(f"{head}Content-Length: 1000\r\n\r\n".encode())
        return int(connection.recv(1_000).split()[1])


def test_body_without_a_valid_key_is_rejected_before_reading(service):
    """The service requests an accepted body with 100; otherwise it responds without the body."""
    heads = [
        f"{method.upper()} {path.format(id='a', name='a')} HTTP/1.1\r\n"
        f"Content-Type: {kind}; boundary=b\r\n"
        for path, operations in service.http.get("/openapi.json").json()["paths"].items()
        for method, operation in operations.items()
        for kind in operation.get("requestBody", {}).get("content", ())
    ]
    assert len(heads) >= 10  # grows with the routes
    for head in heads:
        assert first_status(service, "img_wrong", head) == 401, head
        assert first_status(service, service.secrets["admin"], head) == 100, head


def test_revoked_key_is_rejected_at_once(service):
    keys = Keys(service.archive.catalog)
    row, secret = keys.create("Größe", ["write"])
    headers = {"X-API-Key": secret}
    assert service.client().get("/v1/count", headers=headers).status_code == 200
    keys.revoke(row.id)
    for method, path in (("GET", "/v1/count"), ("GET", "/v1/jobs"), ("POST", "/v1/images/delete")):
        answer = service.client().request(method, path, headers=headers, json={"ids": ["x"]})
        assert answer.status_code == 401, path


def test_cached_key_is_accepted_while_the_catalog_does_not_respond(tmp_path):
    answers = threading.Event()

    class Slow(Keys):
        waiting = False

        def check(self, secret, scope):
            if self.waiting:
                assert answers.wait(30)
            return super().check(secret, scope)

    with Catalog(str(tmp_path / "katalog.db")) as catalog:
        keys = Slow(catalog)
        _, secret = keys.create("a", ["read"])
        access = Access(keys, per_minute=0)

        async def admit_while_it_waits():
            await access.admit(secret, "read", "127.0.0.1")
            keys.waiting = True
            await access.admit(secret, "read", "127.0.0.1")
            answers.set()

        anyio.run(admit_while_it_waits)


def test_write_key_creates_no_more_collections_than_allowed(tmp_path):
    with running(
        plain(tmp_path / "a"), tmp_path / "b", most_collections=2, roots=(tmp_path,)
    ) as service:
        client = service.client("write")

        def add(collection, data):
            files = {"file": ("a.jpg", data, "image/jpeg")}
            return client.post("/v1/images", files=files, data={"collection": collection})

        for number in range(5):  # an invalid image creates no collection
            assert add(f"leer_{number}", b"no image").status_code == 415
        assert [add(name, jpeg(1)).status_code for name in ("a", "b")] == [201, 201]
        refused = add("c", jpeg(1))
        assert (refused.status_code, refused.json()["code"]) == (413, "limit_exceeded")
        job = client.post("/v1/jobs", json={"folder": str(tmp_path), "collection": "d"})
        assert job.status_code == 413
        assert add("a", jpeg(2)).status_code == 201


def test_rate_limit_sends_retry_after(tmp_path):
    limits = Limits(per_minute=60)  # with a burst of ten seconds: a tenth
    with running(plain(tmp_path / "a"), tmp_path / "b", limits=limits) as service:
        answers = [service.http.get("/v1/count") for _ in range(40)]
        refused = [answer for answer in answers if answer.status_code == 429]
        assert 20 < len(refused) < 36
        assert refused[0].json()["code"] == "rate_exceeded"
        assert int(refused[0].headers["Retry-After"]) >= 1
        assert service.client().get("/v1/live").status_code == 200


def test_full_queue_sends_503_with_retry_after(tmp_path, monkeypatch):
    limits = Limits(embeddings=1, searches=1, waiting=1)
    with running(plain(tmp_path / "a"), tmp_path / "b", limits=limits) as service:
        service.add(1, collection="images")
        started, go_on = threading.Semaphore(0), threading.Event()
        search = service.archive.search

        def held(*arguments, **options):
            started.release()
            assert go_on.wait(30)
            return search(*arguments, **options)

        monkeypatch.setattr(service.archive, "search", held)
        answers = []

        def ask():
            answers.append(service.http.post("/v1/search", json={"text": "a dog"}))

        running_one, waiting_one = threading.Thread(target=ask), threading.Thread(target=ask)
        running_one.start()
        assert started.acquire(timeout=30)
        waiting_one.start()
        workers = service.app.state.service.searches
        while not workers.waiting:
            assert waiting_one.is_alive()
        refused = service.http.post("/v1/search", json={"text": "a dog"})
        assert (refused.status_code, refused.json()["code"]) == (503, "busy")
        assert refused.headers["Retry-After"] == "1"
        assert service.http.get("/v1/count").status_code == 200  # cheap requests continue
        metrics = service.http.get("/metrics").text
        assert "imgsearch_running 1.0" in metrics
        assert "imgsearch_waiting 1.0" in metrics
        go_on.set()
        running_one.join(30)
        waiting_one.join(30)
        assert [answer.status_code for answer in answers] == [200, 200]


def test_slow_response_becomes_a_timeout_error(tmp_path, monkeypatch):
    limits = Limits(seconds=1)
    with running(plain(tmp_path / "a"), tmp_path / "b", limits=limits) as service:
        # before the limit is set, because this may take longer
        service.archive.add([Incoming("a.jpg", data=jpeg(1))])
        go_on = threading.Event()
        monkeypatch.setattr(service.archive, "search", lambda *_, **__: go_on.wait(30) and [])
        late = service.http.post("/v1/search", json={"text": "a dog"})
        go_on.set()
        assert (late.status_code, late.json()["code"]) == (503, "deadline_exceeded")
        address = ("127.0.0.1", service.http.base_url.port)
        with socket.create_connection(address, timeout=30) as connection:
            connection.sendall(
                b"POST /v1/search HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n"
                b"Content-Type: application/json\r\nX-API-Key: "
                + service.secrets["read"].encode()
                + b"\r\n\r\n{"
            )
            # the rest of the body never arrived
            assert connection.recv(100).startswith(b"HTTP/1.1 408")


def test_without_keys_only_this_machine_has_access(tmp_path):
    with running(plain(tmp_path / "a"), tmp_path / "b", auth=False) as service:
        client = service.client()
        assert client.post("/v1/images", files={"file": jpeg(1)}).status_code == 201
        assert client.delete("/v1/collections/images?confirm=images").json() == {"deleted": 1}


def test_listed_origins_may_send_requests(tmp_path):
    origin = "https://photos.example.org"
    with running(plain(tmp_path / "a"), tmp_path / "b", cors=(origin,)) as service:
        headers = {"Origin": origin, "Access-Control-Request-Method": "POST"}
        preflight = service.client().options("/v1/images", headers=headers)
        assert preflight.headers["Access-Control-Allow-Origin"] == origin
        assert "access-control-allow-credentials" not in preflight.headers
        posted = service.http.post(
            "/v1/images", files={"file": jpeg(1)}, headers={"Origin": origin}
        )
        assert posted.status_code == 201
        other = service.http.get("/v1/count", headers={"Origin": "https://evil.example"})
        assert "access-control-allow-origin" not in other.headers


@pytest.mark.parametrize("origin", ["*", "photos.example.org", "https://a.example/", "null"])
def test_invalid_origin_is_rejected(origin):
    with pytest.raises(ConfigError, match="is not an origin"):
        checked([origin])


def test_public_address_without_keys_is_rejected(tmp_path):
    from imgsearch.catalog import Catalog

    with Catalog(str(tmp_path / "catalog.db")) as catalog:
        keys = Keys(catalog)
        for host in ("0.0.0.0", "::"):  # noqa: S104 - what is refused
            with pytest.raises(ConfigError, match="no API key exists yet"):
                server.check_open(host, keys=len(keys.all()), no_auth=False)
        with pytest.raises(ConfigError, match="no API key exists yet"):
            server.check_open("127.0.0.1", keys=len(keys.all()), no_auth=False)
        server.check_open("127.0.0.1", keys=len(keys.all()), no_auth=True)
        keys.create("first", ["admin"])
        server.check_open("0.0.0.0", keys=len(keys.all()), no_auth=False)  # noqa: S104 - as above
        for host in ("0.0.0.0", "::"):  # noqa: S104 - as above
            with pytest.raises(ConfigError, match="other machines can reach"):
                server.check_open(host, keys=len(keys.all()), no_auth=True)
        with pytest.raises(ConfigError, match="is not an address"):
            server.is_loopback("no such host")


def test_access_log_names_the_key_by_its_id(service, capsys):
    wrong = {"X-API-Key": "img_5f0c3a9be2d1_geheim"}
    with logging_to_stderr("json", access=True):
        service.client("read").get("/v1/images?limit=1", headers={"X-Request-ID": "eins"})
        service.client().get("/v1/count", headers=wrong)
        service.client("read").get("/v1/live?x=geheim")
    lines = capsys.readouterr().err.splitlines()
    assert not [line for line in lines if service.secrets["read"] in line or "geheim" in line]
    access = [json.loads(line) for line in lines]
    id_ = service.secrets["read"].split("_")[1]
    assert [(line["path"], line["status"], line["key_id"]) for line in access] == [
        ("/v1/images", 200, id_),
        ("/v1/count", 401, ""),
        ("/v1/live", 422, ""),
    ]
    assert access[0]["request_id"] == "eins"


def test_log_lines_of_threads_have_the_id_of_the_request(tmp_path, capsys):
    def fails():
        logging.getLogger("imgsearch.tests").warning("im Faden")
        raise OSError("kaputt")

    with running(plain(tmp_path / "p"), tmp_path / "data") as alone:
        alone.archive.health = fails
        with logging_to_stderr("json"):
            answer = alone.client().get("/v1/health")
    assert answer.status_code == 500
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert {line["request_id"] for line in lines} == {answer.headers["X-Request-ID"]}
    assert [line["message"].split()[0] for line in lines] == ["im", "request"]
    assert "OSError: kaputt" in lines[1]["exception"]
