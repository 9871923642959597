"""A key that is limited to collections reaches no other one, by any route."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fastapi.routing import APIRoute

from imgsearch import Client
from imgsearch.archive import Incoming
from imgsearch.archive.access import Keys
from imgsearch.backends import StoreOptions
from imgsearch.errors import CollectionDenied, ImageNotFound, JobNotFound
from tests.pictures import write
from tests.service.running import jpeg, running
from tests.service.topologies import Topology

MINE, THEIRS, ALIAS, NEW = "mine", "of_others", "alias", "new"
SECRET = "geheim"  # noqa: S105 - in each name, label, field and id of the other collection
OPEN = {
    "/v1/live", "/v1/ready", "/v1/health", "/openapi.json", "/docs", "/docs/start.js", "/redoc",
}  # fmt: skip


@dataclass
class World:
    """A service with the collections `MINE` and `THEIRS`; `ALIAS` is an alias of the latter."""

    service: Any
    key: str
    mine: list[str]
    theirs: str
    job: str
    folder: Path

    def client(self, scope="admin"):
        key = self.key if scope == "admin" else self.limited(scope)
        headers = {"X-API-Key": key}
        return self.service.client(headers=headers)

    def limited(self, *scopes, collections=(MINE, ALIAS, NEW)):
        return Keys(self.service.archive.catalog).create("k", scopes, collections=collections)[1]

    def foreign(self):
        """Return all of the other collection, which no request may change."""
        archive = self.service.archive
        entries = archive.entries(THEIRS).entries
        vectors = {
            record.id: (record.vector.tobytes(), dict(record.fields))
            for record in archive.existing(THEIRS).collection.iterate(vectors=True)
        }
        originals = [b"".join(archive.original(entry.id).parts) for entry in entries]
        job = self.service.app.state.service.jobs.get(self.job)
        return entries, vectors, originals, job, archive.collection(THEIRS)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("größe")
    db = "memory://limited"
    write(folder / "fotos" / SECRET, 2)
    place = Topology("memory", db, str(folder / "catalog.db"), str(folder / "originals"))
    with running(place, folder / "data", roots=(folder / "fotos",)) as service:
        service.client = _with_headers(service)
        mine = [Incoming(f"{n}.jpg", data=jpeg(n), id=f"m{n}") for n in range(3)]
        service.archive.add(mine, collection=MINE)
        # the first one has the content of a picture of ours
        theirs = [
            Incoming(
                f"{SECRET} {n}.jpg", data=jpeg(n), id=f"{SECRET}{n}", label=SECRET,
                fields={SECRET: SECRET},
            )
            for n in (0, 7)
        ]  # fmt: skip
        service.archive.add(theirs, collection=THEIRS)
        with StoreOptions(db).connect() as store:
            store.set_alias(ALIAS, THEIRS)
        started = service.http.post(
            "/v1/jobs", json={"folder": str(folder / "fotos"), "collection": THEIRS}
        ).json()
        service.finished(started)
        key = Keys(service.archive.catalog).create(
            "mein", ["admin"], collections=[MINE, ALIAS, NEW]
        )[1]
        yield World(service, key, ["m0", "m1", "m2"], f"{SECRET}0", started["id"], folder / "fotos")


def _with_headers(service):
    plain = service.client

    def client(scope=None, **options):
        headers = options.pop("headers", None)
        opened = plain(scope, **options)
        opened.headers.update(headers or {})
        return opened

    return client


def routes(app):
    """Yield each route of the service, also those of its routers."""
    for route in app.routes:
        router = getattr(route, "original_router", None)
        yield from [route] if router is None else router.routes


def named(collection):
    """Return for each route the requests that name another collection, or that name none."""
    image = ("file", ("a.jpg", jpeg(5), "image/jpeg"))
    queries = {"queries": [{"id": "m0"}, {"text": "a dog", "collection": collection}]}
    return {
        ("POST", "/v1/images"): [
            {"files": [image], "data": {"collection": collection}},
            {"files": [image]},  # into "images"
        ],
        ("GET", "/v1/images"): [
            {"params": {"collection": collection}},
            {},
            {"params": {"where": f"label = '{SECRET}'"}},
            {"params": {"text": SECRET, "order_by": f"-{SECRET}"}},
        ],
        ("GET", "/v1/count"): [{"params": {"collection": collection}}, {}],
        ("GET", "/v1/collections"): [{}],
        ("GET", "/v1/collections/{name}"): [{}],
        ("POST", "/v1/collections/{name}/fields"): [{"json": {"fields": {"year": "int"}}}],
        ("GET", "/v1/collections/{name}/facets"): [{"params": {"field": "label"}}],
        ("POST", "/v1/collections/{name}/migrate"): [{"json": {"model": "classic"}}],
        ("DELETE", "/v1/collections/{name}"): [{"params": {"confirm": collection}}],
        ("POST", "/v1/search"): [
            {"json": {"text": "a dog", "collection": collection}},
            {"json": {"text": "a dog"}},
            {"json": {"text": SECRET, "mode": "text", "collection": collection}},
            {"files": [image], "data": {"collection": collection}},
        ],
        ("POST", "/v1/search/batch"): [{"json": queries}],
        ("POST", "/v1/compare"): [
            {"json": {"one": {"id": "m0"}, "other": {"id": "m1"}, "collection": collection}},
            {"files": [image, image], "data": {"collection": collection}},
        ],
        ("POST", "/v1/embed"): [{"json": {"items": [{"text": "a"}], "collection": collection}}],
        ("POST", "/v1/jobs"): [
            {"json": {"folder": "FOLDER", "collection": collection}},
            {"json": {"folder": "FOLDER", "collection": collection, "sync": True}},
            {"json": {"folder": "FOLDER"}},
        ],
        ("POST", "/v1/videos"): [
            {"files": [("file", ("a.mp4", b"x"))], "data": {"collection": collection}},
            {"files": [("file", ("a.mp4", b"x"))]},
        ],
        ("GET", "/v1/videos"): [{"params": {"collection": collection}}, {}],
        ("GET", "/v1/models"): [{}],
    }


def by_id(image, job):
    """Return for each route the requests that name an image or a job of another collection."""
    of_image = {
        ("GET", "/v1/images/{id}"): [{}],
        ("PATCH", "/v1/images/{id}"): [{"json": {"label": "neu"}}],
        ("DELETE", "/v1/images/{id}"): [{}],
        ("GET", "/v1/images/{id}/original"): [{}],
        ("GET", "/v1/images/{id}/thumbnail"): [{}],
        ("POST", "/v1/images/delete"): [{"json": {"ids": [image]}}],
        ("DELETE", "/v1/videos/{id}"): [{}],
        ("POST", "/v1/images/vectors"): [{"json": {"ids": [image, "m0"]}}],
        ("POST", "/v1/search"): [
            {"json": {"id": image}},
            {"json": {"id": image, "collection": MINE}},
            {"json": {"terms": [{"id": "m0"}, {"id": image}], "collection": MINE}},
        ],
        ("POST", "/v1/search/batch"): [{"json": {"queries": [{"id": image}, {"id": "m0"}]}}],
        ("POST", "/v1/compare"): [
            {"json": {"one": {"id": "m0"}, "other": {"id": image}, "collection": MINE}}
        ],
        ("POST", "/v1/embed"): [{"json": {"items": [{"id": image}], "collection": MINE}}],
        # an id that another collection has is no way to its image
        ("POST", "/v1/images"): [
            {
                "files": [("file", ("a.jpg", jpeg(0), "image/jpeg"))],
                "data": {"collection": MINE, "id": image, "label": "neu"},
            }
        ],
    }
    of_job = {
        ("GET", "/v1/jobs"): [{}],
        ("GET", "/v1/jobs/{id}"): [{}],
        ("GET", "/v1/jobs/{id}/failures"): [{}],
        ("GET", "/v1/jobs/{id}/events"): [{}],
        ("POST", "/v1/jobs/{id}/cancel"): [{}],
        ("DELETE", "/v1/jobs/{id}"): [{}],
        ("POST", "/v1/jobs/{id}/retry"): [{}],
    }
    assert job
    return {**of_image, **of_job}


def sent(world, client, method, path, options, collection):
    id_ = world.job if path.startswith("/v1/jobs") else world.theirs
    place = path.format(id=id_, name=collection)
    if "FOLDER" in str(options.get("json")):
        options = {"json": {**options["json"], "folder": str(world.folder)}}
    return client.request(method, place, **options)


def is_hidden(answer):
    """Return whether a response neither shows nor confirms anything of another collection."""
    if answer.status_code in (403, 404, 409):
        return SECRET not in answer.text
    if answer.status_code not in (200, 201, 202, 204):
        return False
    text = answer.text.replace(f"this needs '{THEIRS}'", "")  # the request's own word
    return SECRET not in text and THEIRS not in text


@pytest.mark.parametrize("collection", [THEIRS, ALIAS])
def test_no_route_reaches_another_collection(world, collection):
    """A route without a request here is one that must refuse each limited key."""
    before, client = world.foreign(), world.client()
    tables = named(collection), by_id(world.theirs, world.job)
    tried = 0
    for route in routes(world.service.app):
        if not isinstance(route, APIRoute) or route.path in OPEN or "{rest" in route.path:
            continue
        for method in route.methods - {"HEAD"}:
            attempts = [
                options for table in tables for options in table.get((method, route.path), ())
            ]
            for options in attempts:
                answer = sent(world, client, method, route.path, options, collection)
                assert is_hidden(answer), (method, route.path, options, answer.text)
            if not attempts and route.path != "/":
                answer = sent(world, client, method, route.path, {}, MINE)
                expected = (403, "collection_denied")
                assert (answer.status_code, answer.json()["code"]) == expected, (method, route.path)
            tried += max(1, len(attempts))
    assert tried >= 50  # grows with the routes
    assert world.foreign() == before
    assert world.service.archive.entries("images").total == 0


def test_open_routes_need_no_key_and_show_no_collection(world):
    for path in OPEN:
        answer = world.service.client().get(path)
        assert answer.status_code == 200
        assert SECRET not in answer.text


def test_own_collection_is_used_as_with_any_key(world):
    client = world.client()
    names = [info["name"] for info in client.get("/v1/collections").json()["collections"]]
    assert names == [MINE]
    page = client.get("/v1/images", params={"limit": 2}).json()
    assert (page["total"], len(page["images"])) == (3, 2)
    further = client.get("/v1/images", params={"limit": 2, "after": page["next"]}).json()
    assert [image["id"] for image in page["images"] + further["images"]] == world.mine
    assert client.get("/v1/count", params={"collection": MINE}).json()["images"] == 3
    terms = {"terms": [{"id": "m0"}, {"id": "m1", "weight": 0.5}], "collection": MINE, "k": 1}
    assert client.post("/v1/search", json=terms).json()["hits"][0]["id"] == "m0"
    assert {hit["id"] for hit in client.post("/v1/search", json={"id": "m0"}).json()["hits"]} == {
        "m1",
        "m2",
    }
    both = {"queries": [{"id": "m0"}, {"text": "x", "collection": THEIRS}, {"id": world.theirs}]}
    results = client.post("/v1/search/batch", json=both).json()["results"]
    assert [result.get("code") for result in results] == [
        None,
        "collection_denied",
        "image_not_found",
    ]
    vectors = client.post("/v1/images/vectors", json={"ids": [world.theirs, "m0"]}).json()
    assert [vector is None for vector in vectors["vectors"]] == [True, False]
    deleted = client.post("/v1/images/delete", json={"ids": [world.theirs, "m2", "m2"]})
    assert deleted.json() == {"deleted": 1}
    world.service.archive.add([Incoming("2.jpg", data=jpeg(2), id="m2")], collection=MINE)


def test_own_collection_is_created_filled_by_a_job_and_dropped(world):
    client = world.client()
    started = client.post("/v1/jobs", json={"folder": str(world.folder), "collection": NEW})
    assert started.status_code == 202, started.text
    lines = client.get(f"/v1/jobs/{started.json()['id']}/events").text.splitlines()
    last = json.loads([line[6:] for line in lines if line.startswith("data: ")][-1])
    assert (last["state"], last["inserted"]) == ("done", 2)
    assert [job["id"] for job in client.get("/v1/jobs").json()["jobs"]] == [started.json()["id"]]
    assert len(world.service.http.get("/v1/jobs").json()["jobs"]) >= 2
    dropped = client.delete(f"/v1/collections/{NEW}", params={"confirm": NEW})
    assert dropped.json() == {"deleted": 2}


def test_scope_is_needed_beside_the_collection(world):
    for scope, status in (("read", 403), ("write", 403), ("admin", 404)):
        client = world.client(scope)
        assert client.get("/v1/images").status_code == 200
        dropped = client.delete(f"/v1/collections/{NEW}", params={"confirm": NEW})
        assert dropped.status_code == status
    headers = {"X-API-Key": world.limited("read")}
    denied = world.service.client(headers=headers).get("/metrics").json()
    assert denied["code"] == "collection_denied"
    assert "limited to the collections alias, mine, new" in denied["detail"]


def test_client_raises_typed_errors(world):
    with Client(world.service.url, world.key, collection=THEIRS) as client:
        with pytest.raises(CollectionDenied, match="limited to the collections alias, mine, new"):
            client.search("a dog")
        with pytest.raises(CollectionDenied):
            client.add([str(world.folder)])
        with pytest.raises(ImageNotFound):
            client.get(world.theirs)
        with pytest.raises(JobNotFound):
            client.job(world.job).progress()
    with Client(world.service.url, world.key, collection=MINE) as client:
        assert len(client.search("a dog")) == 3


def test_revoked_limited_key_is_rejected(world):
    keys = Keys(world.service.archive.catalog)
    row, secret = keys.create("kurz", ["read"], collections=[MINE])
    client = world.service.client(headers={"X-API-Key": secret})
    assert client.get("/v1/images").status_code == 200
    keys.revoke(row.id)
    assert client.get("/v1/images").status_code == 401
