"""Searches over HTTP: kinds of queries, options, and warnings beside the hits."""

import base64

import pytest

from tests.service.running import jpeg


def ids(answer):
    return [hit["id"] for hit in answer["hits"]]


def test_image_is_found_by_every_kind_of_query(service, empty):
    images = service.add(*range(5), collection=empty)
    encoded = base64.b64encode(jpeg(3)).decode()
    by_image = service.search(empty, image=encoded, k=1)
    assert ids(by_image) == [images[3]["id"]]
    assert by_image["hits"][0]["score"] == pytest.approx(1, abs=1e-3)
    assert set(by_image["took"]) == {"embed", "search"}
    assert (by_image["model"], by_image["collection"]) == ("lite", empty)
    assert ids(service.search(empty, image=f"data:image/jpeg;base64,{encoded}", k=1)) == ids(
        by_image
    )
    assert ids(service.search(empty, terms=[{"id": images[3]["id"]}], k=1)) == ids(by_image)
    same = service.http.post(
        "/v1/search", files={"file": ("größe.jpg", jpeg(3))}, data={"collection": empty, "k": "1"}
    ).json()
    assert same["hits"] == by_image["hits"]


def test_more_like_excludes_the_image_itself(service, empty):
    images = service.add(*range(4), collection=empty)
    hits = ids(service.search(empty, id=images[1]["id"], k=10))
    assert sorted(hits) == sorted(image["id"] for image in images if image is not images[1])
    first, rest = (
        ids(service.search(empty, id=images[1]["id"], k=k, offset=offset))
        for k, offset in ((1, 0), (2, 1))
    )
    assert first + rest == hits


def test_terms_are_added_and_subtracted(service, empty):
    images = service.add(*range(6), collection=empty)
    one, two = ({"id": image["id"]} for image in images[:2])
    added = ids(service.search(empty, terms=[one, two], k=2))
    assert set(added) == {images[0]["id"], images[1]["id"]}
    taken = ids(service.search(empty, terms=[{**two, "weight": -1}, {**one, "weight": 2}], k=6))
    assert taken[0] == images[0]["id"]
    assert taken.index(images[1]["id"]) > 1
    nothing = service.http.post(
        "/v1/search", json={"collection": empty, "terms": [{**one, "weight": -1}]}
    )
    assert nothing.status_code == 422
    canceled_out = service.http.post(
        "/v1/search", json={"collection": empty, "terms": [one, {**one, "weight": -1}]}
    )
    assert (canceled_out.status_code, canceled_out.json()["code"]) == (422, "invalid_request")
    assert "cancel" in canceled_out.json()["detail"]


def test_unknown_script_is_a_warning_and_unknown_words_are_rejected(service, empty):
    service.add(1, collection=empty)
    assert service.search(empty, text="a dog in the snow")["warnings"] == []
    answer = service.search(empty, text="a dog собака")
    assert len(answer["hits"]) == 1
    assert "собака" in answer["warnings"][0]
    unknown = service.http.post("/v1/search", json={"collection": empty, "text": "🦊"})
    assert (unknown.status_code, unknown.json()["code"]) == (422, "text_unknown")


def test_words_outside_the_word_table_are_a_warning(service, empty, word_table):
    service.add(1, collection=empty)
    assert service.search(empty, text="a dog in the snow")["warnings"] == []
    answer = service.search(empty, text="a xqzzyk dog")
    assert len(answer["hits"]) == 1
    assert "xqzzyk" in answer["warnings"][0]
    unknown = service.http.post("/v1/search", json={"collection": empty, "text": "xqzzyk"})
    assert (unknown.status_code, unknown.json()["code"]) == (422, "text_unknown")


def test_filters_use_the_current_label(service, empty):
    (cat,) = service.add(1, collection=empty, label="Кот")
    (dog,) = service.add(2, collection=empty, label="dog")
    where = {"field": "label", "op": "==", "value": "Кот"}
    assert ids(service.search(empty, text="a dog", where=where)) == [cat["id"]]
    either = {"any": [where, {"field": "label", "op": "startswith", "value": "do"}]}
    assert len(ids(service.search(empty, text="a dog", where=either))) == 2
    changed = service.http.patch(
        f"/v1/images/{dog['id']}", json={"label": "Кот", "fields": {"year": 2024}}
    ).json()
    assert (changed["label"], changed["fields"]) == ("Кот", {"year": 2024})
    assert len(ids(service.search(empty, text="a dog", where=where))) == 2
    for text in ("label = Кот", '{"label": ["Кот"]}', "not label is null and label like '_о%'"):
        assert len(ids(service.search(empty, text="a dog", where=text))) == 2
    broken = service.http.post(
        "/v1/search",
        json={"collection": empty, "text": "a dog", "where": {"all": [{"field": "a", "op": 1}]}},
    )
    assert (broken.status_code, broken.json()["code"]) == (422, "filter_invalid")
    assert "/all/0" in broken.json()["detail"]  # the position of the fault
    unknown = {"field": "nothing", "op": "==", "value": 1}
    answer = service.http.post(
        "/v1/search", json={"collection": empty, "text": "a dog", "where": unknown}
    )
    assert (answer.status_code, answer.json()["code"]) == (422, "field_invalid")


def test_near_duplicates_are_hidden_on_request(service, empty):
    service.add(1, 2, collection=empty)
    again = {"file": ("again.jpg", jpeg(1, size=(66, 50)))}
    service.http.post("/v1/images", files=again, data={"collection": empty})
    assert len(service.search(empty, text="a dog")["hits"]) == 3
    assert len(service.search(empty, text="a dog", hide_duplicates=0.97)["hits"]) == 2
    unmeasured = service.http.post(
        "/v1/search", json={"collection": empty, "text": "a dog", "hide_duplicates": True}
    )
    assert unmeasured.status_code == 422
    assert "dedup" in unmeasured.json()["detail"]


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"text": "a dog", "id": "a"},
        {"text": " "},
        {"text": "a dog", "k": 1_001},
        {"text": "a dog", "offset": -1},
        {"text": "a dog", "min_score": "best"},
        {"text": "a dog", "unknown": 1},
        {"terms": []},
        {"terms": [{"text": "a dog", "weight": 0}]},
        {"image": "no base64!"},
        {"id": "../etc"},
    ],
)
def test_invalid_search_is_rejected_with_the_reason(service, query):
    answer = service.http.post("/v1/search", json=query)
    assert answer.status_code == 422
    assert answer.json().get("errors") or answer.json()["code"] == "image_not_base64"
    assert "a dog" not in answer.text  # the response does not repeat the request
