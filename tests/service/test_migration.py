"""A running service changes the model of a collection."""

import pytest

from imgsearch import Client
from imgsearch.errors import CollectionNotFound, MigrationIncomplete, ModelNotFound
from tests.service.running import jpeg


@pytest.mark.long
def test_searches_follow_the_new_model(service, empty):
    with Client(service.url, service.secrets["admin"], collection=empty) as client:
        client.add([(f"ü{number}.jpg", jpeg(number)) for number in range(3)])
        former = service.http.get(f"/v1/collections/{empty}").json()["model"]
        model = {"classic": "lite", "lite": "classic"}[former]
        state = client.migrate(model, switch=True, drop_former=True).wait(timeout=120)
        assert (state.kind, state.state, state.inserted) == ("migrate", "done", 3)
        outcome = state.migration
        assert (outcome.former_model, outcome.model, outcome.switched) == (former, model, True)
        compared = outcome.comparison
        assert (outcome.missing, compared.queries, compared.labels) == (0, 3, [])
        assert compared.copies.n > 0
        assert compared.agreement == 1  # each of three images has the other two as neighbors
        assert service.http.get(f"/v1/collections/{empty}").json()["model"] == model
        (hit,) = client.search(jpeg(2), k=1)
        assert hit.score == pytest.approx(1, abs=0.01)
        assert client.add([("ü3.jpg", jpeg(3))]).added == 1
        assert client.count() == 4
        names = [info.name for info in client.collections()]
        assert [name for name in names if name.startswith(empty)] == [empty]


def test_unreadable_originals_fail_the_job(service, empty):
    with Client(service.url, service.secrets["admin"], collection=empty) as client:
        client.add([("ü.jpg", jpeg(5)), ("größe.jpg", jpeg(6))])
        entry = next(entry for entry in service.archive.entries(empty).entries)
        service.archive.originals.delete(entry.content)
        model = "classic" if service.archive.library(empty).model == "lite" else "lite"
        job = client.migrate(model, switch=True, sample=0)
        with pytest.raises(MigrationIncomplete):
            job.wait(timeout=120)
        outcome = job.progress.migration
        assert (outcome.missing, outcome.switched, outcome.comparison) == (1, False, None)
        (failure,) = job.failures()
        assert failure.path in ("ü.jpg", "größe.jpg")
        assert (
            client.migrate(model, switch=True, skip_missing=True).wait(timeout=120).state == "done"
        )
        assert service.archive.library(empty).model == model


def test_invalid_requests_are_refused(service, empty):
    with Client(service.url, service.secrets["admin"], collection=empty) as client:
        with pytest.raises(CollectionNotFound):
            client.migrate("lite")
        client.add([("ü.jpg", jpeg(5))])
        with pytest.raises(ModelNotFound):
            client.migrate("a\0b")
    for body in ({}, {"model": ""}, {"model": "lite", "switch": "yes"}, {"model": "lite", "x": 1}):
        answer = service.http.post(f"/v1/collections/{empty}/migrate", json=body)
        assert answer.status_code == 422, body
