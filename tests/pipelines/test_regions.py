"""Pipelines over regions: inserted rows, their order, and hits."""

import importlib.util
import uuid
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import imgsearch
from imgsearch.backends import Schema
from imgsearch.backends.regions import WHOLE, grouped, search_images
from imgsearch.encoders.detector import Detection
from imgsearch.errors import ImageCorrupt, SchemaMismatch, WeightsNotFound
from imgsearch.images.regions import FIELDS, box, crop
from imgsearch.query import SearchOptions
from imgsearch.types import Record

needs_transformers = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("transformers", "torch", "timm")),
    reason="detectors need the extras torch and regions",
)


@pytest.fixture(scope="module")
def detection(tmp_path_factory):
    from tests.detectors import write_detector

    folder = tmp_path_factory.mktemp("Melder-ü")
    write_detector(folder)
    return Detection(str(folder), threshold=0.0, most=4, smallest=16)


@pytest.fixture
def photos(tmp_path):
    """Return a folder of forty pictures of distinct blocks, whose rows fill several batches."""
    folder = tmp_path / "fötos"
    folder.mkdir()
    for number in range(40):
        Image.fromarray(blocks(number)).save(folder / f"bild-ü {number:02d}.png")
    return folder


def blocks(seed):
    colors = np.random.default_rng(seed).integers(0, 256, (9, 12, 3), dtype=np.uint8)
    return colors.repeat(20, 0).repeat(20, 1)


@pytest.fixture(params=["memory", "milvus-lite"])
def url(request, tmp_path):
    return f"memory://{uuid.uuid4().hex}" if request.param == "memory" else str(tmp_path / "a.db")


def records(url):
    with imgsearch.connect(url) as store:
        return {record.id: record.fields for record in store.open("images").iterate(vectors=False)}


@needs_transformers
def test_part_of_an_image_finds_the_image_and_box(detection, photos, tmp_path, url):
    imgsearch.insert_pipeline(url, model="classic", regions=detection)(str(photos))
    search = imgsearch.search_pipeline(url, model="classic", k=40)
    for number in (0, 7, 39):
        path = photos / f"bild-ü {number:02d}.png"
        image = np.asarray(Image.open(path))
        region = detection(image)[-1]
        part = tmp_path / "teil.png"
        Image.fromarray(crop(image, region.box)).save(part)
        (row,) = search(str(part))
        best = row["hits"][0]
        assert best.score == pytest.approx(1, abs=1e-4)
        assert best.fields["path"] == str(path)
        assert box(best.fields["box"]) == region.box
        assert best.fields["object"] == region.label
        paths = [hit.fields["path"] for hit in row["hits"]]
        assert len(paths) == len(set(paths)) == 40
        scores = [hit.score for hit in row["hits"]]
        assert scores == sorted(scores, reverse=True)
    search.close()


@needs_transformers
def test_whole_image_is_the_last_row_and_insert_is_idempotent(detection, photos, url):
    insert = imgsearch.insert_pipeline(url, model="classic", regions=detection)
    rows = insert(str(photos))
    stored = records(url)
    assert len(stored) == len(rows)
    assert len({row["path"] for row in rows}) == 40
    images = {}
    for row in rows:
        image, _, part = row["id"].partition("#")
        assert stored[row["id"]]["path"] == row["path"]
        assert stored[row["id"]]["image"] == image
        assert bool(stored[row["id"]]["box"]) == bool(part)
        images.setdefault(image, []).append(part)
    assert all(parts == [*map(str, range(1, len(parts))), ""] for parts in images.values())
    assert max(map(len, images.values())) > 2
    assert insert(str(photos)) == rows
    assert records(url) == stored
    insert.close()


@needs_transformers
def test_bad_file_is_one_error_row_and_the_rest_is_inserted(detection, photos, url):
    (photos / "bild-ü 20b.png").write_bytes(b"\x89PNG\r\n\x1a\n nothing more")
    rows = list(
        imgsearch.insert_pipeline(url, model="classic", regions=detection).stream([str(photos)])
    )
    (failed,) = [row for row in rows if row["error"]]
    assert isinstance(failed["error"], ImageCorrupt)
    assert Path(failed["path"]).name == "bild-ü 20b.png"
    assert sum(not fields["box"] for fields in records(url).values()) == 40


@needs_transformers
def test_invalid_options_raise_when_the_pipeline_is_built(detection, photos, tmp_path):
    url = f"memory://{uuid.uuid4().hex}"
    one = Detection(detection.weights, threshold=0.0, most=1, smallest=16)
    assert (
        len(imgsearch.insert_pipeline(url, model="classic", regions=one)(str(photos / "*00.png")))
        == 2
    )
    with pytest.raises(SchemaMismatch, match="fields"):
        imgsearch.insert_pipeline(url, model="classic").build()
    with pytest.raises(WeightsNotFound, match="fehlt"):
        imgsearch.insert_pipeline(url, regions=tmp_path / "fehlt").build()


@needs_transformers
def test_operator_works_in_a_custom_pipeline(detection, photos):
    from imgsearch.towhee.imports import towhee

    op = imgsearch.op
    run = (
        towhee.pipe.input("path")
        .map("path", "image", op("image_decode"))
        .map(
            ("path", "image"),
            "regions",
            op("object_regions", weights=detection.weights, threshold=0.0, most=2, smallest=16),
        )
        .flat_map("regions", ("row", "box", "object", "crop"), iter)
        .output("row", "box", "crop")
    )
    path = str(photos / "bild-ü 01.png")
    queue = run(path)
    outputs = [queue.get() for _ in range(queue.size)]
    image = blocks(1)
    assert [row for row, _, _ in outputs][-1] == path
    for _, region, pixels in outputs[:-1]:
        np.testing.assert_array_equal(pixels, crop(image, box(region)))
    np.testing.assert_array_equal(outputs[-1][2], image)


@settings(max_examples=40, deadline=None)  # every example opens a store
@given(
    st.lists(st.integers(1, 30), min_size=1, max_size=12),
    st.integers(1, 8),
    st.integers(0, 5),
    st.sampled_from([None, 0.0, 0.5]),
    st.integers(0, 1000),
)
def test_search_counts_every_image_once(parts, k, offset, least, seed):
    """`parts[i]` is the number of rows of image i. One image may fill the first pages."""
    random = np.random.default_rng(seed)
    rows = [
        Record(
            f"bild{image}#{part}" if part else f"bild{image}",
            random.normal([8 * (image == 0), 0, 0]).astype(np.float32),
            {"image": f"bild{image}", "box": "0,0,9,9" if part else "", "object": "ü"},
        )
        for image, number in enumerate(parts)
        for part in range(number)
    ]
    with imgsearch.connect(f"memory://{uuid.uuid4().hex}") as store:
        images = store.create("images", Schema(3, fields=dict.fromkeys(FIELDS, "str")))
        images.upsert(rows)
        query = np.array([1, 0, 0], np.float32)
        everything = images.search(query[None], k=len(rows), min_score=least)[0]
        best = {}
        for hit in everything:
            best[hit.fields["image"]] = max(
                best.get(hit.fields["image"], hit), hit, key=lambda hit_of_image: hit_of_image.score
            )
        expected = sorted(best.values(), key=lambda hit: -hit.score)[offset : offset + k]
        hits = search_images(images, query, SearchOptions(k=k, offset=offset, min_score=least))
        assert [(hit.id, hit.score) for hit in hits] == [(hit.id, hit.score) for hit in expected]
        assert grouped(hits) == hits


def test_every_store_accepts_rows_of_regions(bench):
    """Image 0 has five rows nearer than any other image's: a page of them names one image.

    The cosine of (1, i, p/10) and (1, 0, 0.2) is greatest at p = 2 (1 + i²).
    """
    images = bench.collection(fields=dict.fromkeys(FIELDS, "str"))
    images.upsert(
        Record(
            f"bild-ü{image}#{part}" if part else f"bild-ü{image}",
            np.array([1, image, part / 10, 0], np.float32),
            {"image": f"bild-ü{image}", "box": "1,2,30,40" if part else "", "object": "Käfer"},
        )
        for image in range(4)
        for part in (*range(1, 5), 0)
    )
    query = np.array([1, 0, 0.2, 0], np.float32)
    hits = search_images(images, query, SearchOptions(k=3))
    assert [hit.id for hit in hits] == ["bild-ü0#2", "bild-ü1#4", "bild-ü2#4"]
    assert hits[0].fields == {"image": "bild-ü0", "box": "1,2,30,40", "object": "Käfer"}
    assert search_images(images, query, SearchOptions(k=2, offset=1)) == hits[1:]
    assert [hit.id for hit in search_images(images, query, SearchOptions(k=9, where=WHOLE))][
        :2
    ] == [
        "bild-ü0",
        "bild-ü1",
    ]
    assert images.count(WHOLE) == 4
    assert images.delete(["bild-ü0#2"]) == 1
    assert search_images(images, query, SearchOptions(k=1))[0].id in {"bild-ü0#1", "bild-ü0#3"}
