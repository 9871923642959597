"""A LangChain retriever returns the nearest images as documents."""

import uuid

import pytest

import imgsearch
from tests.pictures import write


def test_retriever_returns_documents(tmp_path):
    from imgsearch.integrations.langchain import ImageRetriever

    files = write(tmp_path / "katzen", 3)
    write(tmp_path / "hunde", 3, start=3)
    with imgsearch.open(f"memory://{uuid.uuid4().hex}", model="lite") as library:
        library.add(tmp_path)
        retriever = ImageRetriever(images=library, k=2, where="label = katzen")
        documents = retriever.invoke("a cat")
        hits = library.search("a cat", k=2, where="label = katzen")
        assert [document.id for document in documents] == [hit.id for hit in hits]
        first = documents[0]
        assert first.page_content == f"katzen: {hits[0].fields['path']}"
        assert first.metadata["path"] in map(str, files)
        assert first.metadata["score"] == pytest.approx(hits[0].score)
        assert (retriever | len).invoke("a cat") == 2
