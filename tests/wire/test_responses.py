"""Responses of newer, older and other services."""

import json

import pytest
from pydantic import ValidationError

from imgsearch.errors import BackendError
from imgsearch.types import Failure, Hit
from imgsearch.wire.responses import BatchHits, FailedImage, Hits, JobState, Problem, parse

JOB = {
    "id": "a1", "kind": "folder", "collection": "fotos", "state": "running", "found": 9,
    "decoded": 8, "embedded": 7, "inserted": 6, "searchable": 5, "indexed": 4, "skipped": 3,
    "failed": 2, "updated": 1, "error": "", "created": "2024-02-29T12:00:00Z", "started": None,
    "finished": None,
}  # fmt: skip
FOUND = {
    "id": "x", "score": 0.5, "distance": 0.5, "name": "кот.jpg", "label": "猫", "content": "ab",
    "references": 2, "fields": {"jahr": 2024},
}  # fmt: skip


def parsed(kind, values):
    return parse(kind, json.dumps(values).encode())


def test_unknown_keys_and_states_of_a_newer_service_are_accepted():
    state = parsed(JobState, {**JOB, "state": "paused", "kind": "video", "frames": 3})
    assert (state.state, state.kind, state.over) == ("paused", "video", False)
    assert state.created.utcoffset().total_seconds() == 0


def test_keys_that_an_older_service_omits_have_defaults():
    state = parsed(JobState, {key: value for key, value in JOB.items() if key != "updated"})
    assert (state.updated, state.found) == (0, 9)
    assert parsed(Hits, {"hits": []}).warnings == []


@pytest.mark.parametrize(
    ("text", "why"),
    [(b"<h1>", "not JSON"), (b"[]", "an object"), (b'{"id": "a1"}', "kind"), (b"\xff", "not JSON")],
)
def test_other_responses_raise(text, why):
    with pytest.raises(BackendError, match=f"another version of the service: .*{why}"):
        parse(JobState, text)


def test_hit_has_the_fields_of_its_image():
    (hit,) = [image.hit() for image in parsed(Hits, {"hits": [FOUND]}).hits]
    own = {"name": "кот.jpg", "path": "кот.jpg", "label": "猫", "content": "ab", "references": 2}
    assert hit == Hit("x", 0.5, 0.5, {"jahr": 2024, **own})


def test_batch_distinguishes_hits_from_problems():
    results = [{"hits": [FOUND]}, {"code": "text_unknown", "detail": "Unbekannt."}]
    hits, problem = parsed(BatchHits, {"results": results}).results
    assert isinstance(hits, Hits)
    assert isinstance(problem, Problem)
    assert (problem.code, problem.detail) == ("text_unknown", "Unbekannt.")


def test_failure_is_sent_without_the_path_of_the_service():
    failure = Failure("/srv/fotos/größe.jpg", "decode", "ImageCorrupt", "/srv/fotos: broken")
    sent = FailedImage.of(failure, "größe.jpg")
    assert "/srv" not in sent.model_dump_json()
    received = sent.failure("~/größe.jpg")
    assert received == Failure("~/größe.jpg", "decode", "ImageCorrupt", sent.detail)
    assert sent.failure().path == "größe.jpg"


def test_records_are_immutable():
    state = parsed(JobState, JOB)
    with pytest.raises(ValidationError, match="frozen"):
        state.found = 10
