"""A service over a collection of an encoder that was removed."""

from imgsearch import backends
from tests.library.test_removed_encoder import ADVICE, create
from tests.service.running import jpeg


def test_additions_and_searches_fail_with_advice(service, empty):
    with backends.connect(service.archive.url) as store:
        create(store, empty)
    for path in ("search", "images"):
        answer = service.http.post(
            f"/v1/{path}", files={"file": ("größe.jpg", jpeg(1))}, data={"collection": empty}
        )
        assert (answer.status_code, answer.json()["code"]) == (409, "encoder_removed")
        assert answer.json()["detail"] == ADVICE
