"""The three pipelines, alone and extended with Towhee's own steps."""

import uuid
from pathlib import Path

import numpy as np
import pytest

import imgsearch
from imgsearch.errors import (
    CollectionNotFound,
    ConfigError,
    EncoderMismatch,
    ImgSearchError,
    ModelNotFound,
    SchemaMismatch,
    SourceError,
)
from imgsearch.towhee.imports import towhee
from tests.pictures import picture, write


@pytest.fixture
def url():
    return f"memory://{uuid.uuid4().hex}"


@pytest.fixture
def folder(tmp_path):
    write(tmp_path / "bilder", 40)
    return tmp_path / "bilder"


def test_embed_gives_a_unit_vector_for_each_image(folder):
    rows = imgsearch.embed_pipeline("classic")(str(folder))
    assert [Path(row["path"]).name for row in rows] == sorted(p.name for p in folder.iterdir())
    for row in rows:
        assert row["vector"].dtype == np.float32
        assert np.linalg.norm(row["vector"]) == pytest.approx(1, abs=1e-5)


def test_batches_and_single_images_give_the_same_vectors(folder):
    rows = imgsearch.embed_pipeline("classic")(str(folder))
    encoder = imgsearch.load_encoder("classic")
    for place in (0, 17, 39):
        alone = encoder.encode([picture(place)])[0]
        assert rows[place]["vector"] == pytest.approx(alone, abs=1e-5)


def test_embed_is_extended_with_towhees_steps_and_display(folder):
    """As in the known tutorials: load, decode, embed, display."""
    embed = imgsearch.embed_pipeline()
    displayed = embed.map("vector", "dim", len).output("path", "image", "vector", "dim")
    queue = displayed(str(folder / "*0001.png"))
    data = towhee.datacollection.DataCollection(queue)
    (row,) = list(data)
    assert row.dim == len(row.vector)
    assert row.image.tolist() == picture(1).tolist()


def test_pipeline_of_single_operators_reads_like_the_tutorials(folder, url):
    op = imgsearch.op
    first = (
        towhee.pipe.input("src")
        .flat_map("src", "img_path", op("image_load"))
        .map("img_path", "img", op("image_decode"))
        .map("img", "vec", op("image_embedding"))
    )
    insert = first.map(
        ("img_path", "vec", "img_path"), "mr", op("vector_insert", url=url, fields=("path",))
    )
    insert.output("mr")(str(folder / "*000*.png"))
    search = first.map("vec", "hits", op("vector_search", url=url, k=3)).map(
        "hits", "pred", lambda hits: [hit.fields["path"] for hit in hits]
    )
    path, pred = search.output("img_path", "pred")(str(folder / "*0007.png")).get()
    assert (pred[0], len(pred)) == (path, 3)


def test_inserted_image_is_the_first_hit_with_its_fields(folder, url):
    inserted = imgsearch.insert_pipeline(url, model="classic")(str(folder.parent))
    assert len({row["id"] for row in inserted}) == 40
    for row in imgsearch.search_pipeline(url, model="classic", k=5)([str(folder / "*000*.png")]):
        assert len(row["hits"]) == 5
        assert row["hits"][0].fields == {"path": row["path"], "label": "bilder"}
        assert row["hits"][0].score == pytest.approx(1, abs=1e-5)


def test_library_and_pipeline_return_the_same_hits(folder, url):
    imgsearch.insert_pipeline(url, model="classic")(str(folder))
    rows = imgsearch.search_pipeline(url, model="classic", k=3)(str(folder))
    with imgsearch.open(url) as library:
        for row in rows:
            hits = library.search(row["path"], k=3)
            assert [hit.id for hit in hits] == [hit.id for hit in row["hits"]]
            scores = [hit.score for hit in row["hits"]]
            assert [hit.score for hit in hits] == pytest.approx(scores, abs=1e-5)


def test_inserting_twice_changes_nothing(folder, url):
    insert = imgsearch.insert_pipeline(url, model="classic")
    assert insert(str(folder)) == insert(str(folder))
    with imgsearch.connect(url) as store:
        assert store.open("images").count() == 40


@pytest.mark.parametrize("between", [0, 40])  # a batch holds 32 images
def test_first_file_of_a_content_counts_across_batches(tmp_path, url, between):
    (first,) = write(tmp_path / "a" / "cafe\u0301", 1)
    write(tmp_path / "b", between, start=100)
    copy = tmp_path / "z" / "copy.png"
    copy.parent.mkdir()
    copy.write_bytes(first.read_bytes())
    insert = imgsearch.insert_pipeline(url, model="classic")
    rows = insert(str(tmp_path))
    assert rows[0]["id"] == rows[-1]["id"]
    with imgsearch.connect(url) as store:
        collection = store.open("images")

        def stored():
            return dict(collection.get([rows[0]["id"]])[rows[0]["id"]].fields)

        assert stored() == {"path": str(first), "label": "caf\u00e9"}
        insert(str(tmp_path / "z"))
        assert stored()["path"] == str(first)
        first.unlink()
        insert(str(tmp_path))
        assert stored() == {"path": str(copy), "label": "z"}


def test_own_ids_are_replaced(url, tmp_path):
    op = imgsearch.op("vector_insert", url=url, model="classic", fields=("path",))
    insert = towhee.pipe.input("id", "vec", "path").map(("id", "vec", "path"), "mr", op)
    vector = np.eye(1, imgsearch.load_encoder("classic").fingerprint.dim, dtype=np.float32)[0]
    for path in (str(tmp_path), "/"):
        insert.output("mr")("one", vector, path)
    with imgsearch.connect(url) as store:
        assert store.open("images").get(["one"])["one"].fields == {"path": "/"}


def test_bad_files_are_error_rows_and_the_rest_is_inserted(folder, url):
    (folder / "kaputt.png").write_bytes(b"\x89PNG\r\n\x1a\n nothing more")
    sources = [str(folder), str(folder / "fehlt.png")]
    rows = list(imgsearch.insert_pipeline(url, model="classic").stream([[*sources]]))
    failed = [row for row in rows if row["error"]]
    assert len(rows) - len(failed) == 40
    assert {type(row["error"]).__name__ for row in failed} <= {"ImageCorrupt", "SourceError"}
    assert len(failed) == 2


def test_bad_query_raises_a_typed_error(folder, url):
    imgsearch.insert_pipeline(url, model="classic")(str(folder))
    with pytest.raises(SourceError, match="fehlt"):
        imgsearch.search_pipeline(url, model="classic")(str(folder / "fehlt.png"))


def test_search_options_reach_the_store(folder, url):
    imgsearch.insert_pipeline(url, model="classic")(str(folder))
    query = str(folder / "*0003.png")
    nowhere = imgsearch.Field("label") == "nowhere"
    assert imgsearch.search_pipeline(url, model="classic", where=nowhere)(query)[0]["hits"] == []
    near = imgsearch.search_pipeline(url, model="classic", min_score=0.9999)(query)[0]["hits"]
    assert [Path(hit.fields["path"]).name for hit in near] == ["bild-ü 0003.png"]


@pytest.mark.torch  # searches the names of timm
@pytest.mark.parametrize(
    ("build", "error"),
    [
        (lambda url: imgsearch.embed_pipeline("timmm:resnet50").build(), ModelNotFound),
        (lambda url: imgsearch.insert_pipeline(url, index="tree").build(), ConfigError),
        (lambda url: imgsearch.insert_pipeline(url, on_error="ignore").build(), ConfigError),
        (lambda url: imgsearch.search_pipeline(url, model="classic").build(), CollectionNotFound),
        (lambda url: imgsearch.insert_pipeline("mivlus://x").build(), ConfigError),
    ],
)
def test_invalid_options_raise_when_the_pipeline_is_built(build, error, url):
    with pytest.raises(error):
        build(url)


def test_collection_rejects_vectors_of_another_encoder(folder, url):
    imgsearch.insert_pipeline(url, model="classic", index="flat")(str(folder))
    with imgsearch.connect(url) as store:
        store.open("images")
    with pytest.raises(SchemaMismatch, match="index"):
        imgsearch.insert_pipeline(url, model="classic", index="hnsw").build()


def test_search_rejects_a_collection_of_another_encoder(url):
    from imgsearch.backends import Schema
    from imgsearch.types import Fingerprint, Record

    with imgsearch.connect(url) as store:
        images = store.create("images", Schema(4, encoder=Fingerprint("timm:other", 4)))
        images.upsert([Record("a", np.ones(4, np.float32))])
    with pytest.raises(EncoderMismatch, match="timm:other"):
        imgsearch.search_pipeline(url, model="classic").build()
    with pytest.raises(ImgSearchError, match="timm:other"):
        imgsearch.insert_pipeline(url).build()


def test_close_releases_the_store(tmp_path, folder):
    """An embedded file is locked while it is open: closing must free it for others."""
    from imgsearch import backends

    url = str(tmp_path / "x.db")
    insert = imgsearch.insert_pipeline(url, model="classic")
    search = imgsearch.search_pipeline(url, model="classic")
    insert(str(folder))
    assert len(search(str(folder / "*0000.png"))[0]["hits"]) == 10
    insert.close()
    search.close()
    assert backends.canonical(url) not in backends._open
    search.close()


def test_columns_of_a_list_are_inserted_as_fields(tmp_path):
    write(tmp_path, 2)
    table = tmp_path / "liste.csv"
    table.write_text("path,year,city\nbild-ü 0000.png,2019,Köln\nbild-ü 0001.png,,x\n", "utf-8")
    url, fields = f"memory://{uuid.uuid4().hex}", {"year": int, "city": str}
    insert = imgsearch.insert_pipeline(url, model="classic", fields=fields)
    assert len(insert(str(table))) == 2
    assert {"year", "city"} <= set(insert.names())
    with imgsearch.open(url, fields=fields) as library:
        (hit,) = library.search(picture(1), where=imgsearch.Field("year") == 2019)
        assert (hit["city"], hit.path) == ("Köln", str(tmp_path / "bild-ü 0000.png"))
        assert len(library.search(picture(1), where=imgsearch.Field("year") == 0)) == 1
    with pytest.raises(ConfigError, match="cannot be combined with regions"):
        imgsearch.insert_pipeline(url, fields=fields, regions="detr")
