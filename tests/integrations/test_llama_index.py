"""A LlamaIndex retriever returns the nearest images as nodes."""

import uuid

import pytest

import imgsearch
from tests.pictures import write


@pytest.mark.nightly  # brings 26 packages, so it is not in the extra dev
def test_retriever_returns_image_nodes(tmp_path):
    pytest.importorskip("llama_index.core")
    from imgsearch.integrations.llama_index import ImageRetriever

    write(tmp_path / "katzen", 3)
    write(tmp_path / "hunde", 3, start=3)
    with imgsearch.open(f"memory://{uuid.uuid4().hex}", model="lite") as library:
        library.add(tmp_path)
        retriever = ImageRetriever(library, k=2, where="label = katzen")
        nodes = retriever.retrieve("a cat")
        hits = library.search("a cat", k=2, where="label = katzen")
        assert [node.node.id_ for node in nodes] == [hit.id for hit in hits]
        assert [node.score for node in nodes] == pytest.approx([hit.score for hit in hits])
        first = nodes[0].node
        assert (first.text, first.image_path) == ("katzen", hits[0].fields["path"])
        assert first.metadata["label"] == "katzen"
