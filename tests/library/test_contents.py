"""Records, exports and embeddings of a library."""

import asyncio
import uuid

import numpy as np
import pytest

import imgsearch
from imgsearch.errors import BackendError, CollectionNotFound, ImageError, SourceError
from tests.pictures import picture, write


@pytest.fixture
def library(tmp_path):
    write(tmp_path / "Fotos/Käse", 3)
    write(tmp_path / "Fotos/猫", 3, start=3)
    with imgsearch.open(f"memory://{uuid.uuid4().hex}", model="lite") as opened:
        opened.add(tmp_path / "Fotos")
        yield opened


def ids(hits):
    return [hit.id for hit in hits]


def test_path_is_looked_up_relative_to_the_current_folder(library, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path / "Fotos")
    assert "猫/bild-ü 0004.png" in library
    assert tmp_path / "Fotos/猫/bild-ü 0004.png" in library
    assert "bild-ü 0004.png" not in library
    assert "nul\0" not in library
    assert library.count("path under 猫") == 3
    assert library.count({"path": {"under": "../Fotos"}}) == len(library) == 6


def test_records_have_vectors_on_request(library):
    assert all(record.vector is None for record in library)
    for record in library.records(vectors=True):
        assert (record.vector.shape, record.vector.dtype) == ((384,), np.float32)


def test_items_are_embedded_as_queries(library, tmp_path):
    file = tmp_path / "Fotos/猫/bild-ü 0004.png"
    items = [picture(1), file, file.read_bytes(), "a dog", picture(1) / 255]
    vectors = library.embed(items)
    assert (vectors.shape, vectors.dtype) == ((5, 384), np.float32)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    for item, vector in zip(items, vectors, strict=True):
        np.testing.assert_allclose(library.encode(item), vector, atol=1e-5)
    assert library.embed([]).shape == (0, 384)
    with pytest.raises(ImageError):
        library.embed([picture(1), b"GIF89a"])
    with pytest.raises(SourceError):
        library.embed(["nowhere.jpg"])


def test_exported_file_is_searched_like_the_library(library, tmp_path):
    file = tmp_path / "bilder.parquet"
    assert library.to_parquet(file) == 6
    with imgsearch.open(file) as read:
        assert (len(read), read.model, read.recipe) == (6, "lite", library.recipe)
        for query in (picture(4), "a dog", tmp_path / "Fotos/猫/bild-ü 0004.png"):
            assert ids(read.search(query)) == ids(library.search(query))
        assert {hit.label for hit in read.search(picture(4), where="label = 猫")} == {"猫"}
        assert next(record.label for record in read.records(order_by="label")) == "Käse"
        for write_ in (lambda: read.add(tmp_path / "Fotos"), lambda: read.remove("x" * 64)):
            with pytest.raises(BackendError, match="read-only"):
                write_()


def test_export_needs_images_and_a_folder(library, tmp_path):
    for name in ("nowhere/x.parquet", "a\0b.parquet"):
        with pytest.raises(SourceError, match="cannot be written"):
            library.to_parquet(tmp_path / name)
    with (
        imgsearch.open(f"memory://{uuid.uuid4().hex}", model="lite") as empty,
        pytest.raises(CollectionNotFound),
    ):
        empty.to_parquet(tmp_path / "x.parquet")
    assert not list(tmp_path.glob("*parquet*"))


def test_library_is_awaited(library, tmp_path):
    write(tmp_path / "mehr", 2, start=8)

    async def both():
        report = await library.aadd(tmp_path / "mehr")
        hits = await asyncio.gather(
            library.asearch(picture(4), k=2), library.asearch(picture(8), where="label = mehr")
        )
        return report.added, [ids(one) for one in hits]

    added, hits = asyncio.run(both())
    assert added == 2
    assert hits == [
        ids(library.search(picture(4), k=2)),
        ids(library.search(picture(8), where={"label": "mehr"})),
    ]
