"""A language model searches the images of a service."""

from importlib.util import find_spec

import pytest

from imgsearch import Client
from imgsearch.integrations.mcp import build
from tests.integrations.test_mcp import call, hits
from tests.pictures import write

if find_spec("mcp") is None:
    pytest.skip("needs the extra mcp", allow_module_level=True)


def test_model_searches_a_service_and_looks_at_its_images(service, empty, tmp_path):
    write(tmp_path / "katzen", 3)
    with Client(service.url, service.secrets["admin"], collection=empty) as client:
        client.add(tmp_path / "katzen")
        server = build(client)
        ((_, result),) = call(server, ("search", {"query": "a cat", "k": 2}))
        first = hits(result)[0]
        (failed, picture), (_, like) = call(
            server, ("look", {"id": first["id"]}), ("search", {"like": first["id"], "k": 2})
        )
        assert (failed, picture.content[0].mime_type) == (False, "image/jpeg")
        assert first["id"] not in {hit["id"] for hit in hits(like)}
        assert len(hits(like)) == 2
