"""Pipelines over regions: what goes in, in which order, and which hits come out."""

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
    """Forty pictures of blocks, whose parts differ: their rows fill several batches."""
    folder = tmp_path / "fötos"
    folder.mkdir()
    for number in range(40):
        Image.fromarray(blocks(number)).save(folder / f"bild-ü {number:02d}.png")
    return folder


def blocks(seed):
    colours = np.random.default_rng(seed).integers(0, 256, (9, 12, 3), dtype=np.uint8)
    return colours.repeat(20, 0).repeat(20, 1)


@pytest.fixture(params=["memory", "milvus-lite"])
def url(request, tmp_path):
    return f"memory://{uuid.uuid4().hex}" if request.param == "memory" else str(tmp_path / "a.db")


def records(url):
    with imgsearch.connect(url) as store:
        return {each.id: each.fields for each in store.open("images").iterate(vectors=False)}


@needs_transformers
def test_a_part_of_an_image_finds_it_with_the_box(detection, photos, tmp_path, url):
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
def test_each_image_ends_with_the_whole_and_twice_changes_nothing(detection, photos, url):
    insert = imgsearch.insert_pipeline(url, model="classic", regions=detection)
    rows = insert(str(photos))
    there = records(url)
    assert len(there) == len(rows)
    assert len({row["path"] for row in rows}) == 40
    images = {}
    for row in rows:
        image, _, part = row["id"].partition("#")
        assert there[row["id"]]["path"] == row["path"]
        assert there[row["id"]]["image"] == image
        assert bool(there[row["id"]]["box"]) == bool(part)
        images.setdefault(image, []).append(part)
    assert all(parts == [*map(str, range(1, len(parts))), ""] for parts in images.values())
    assert max(map(len, images.values())) > 2
    assert insert(str(photos)) == rows
    assert records(url) == there
    insert.close()


@needs_transformers
def test_a_bad_file_is_one_row_and_the_rest_goes_in(detection, photos, url):
    (photos / "bild-ü 20b.png").write_bytes(b"\x89PNG\r\n\x1a\n nothing more")
    rows = list(
        imgsearch.insert_pipeline(url, model="classic", regions=detection).stream([str(photos)])
    )
    (failed,) = [row for row in rows if row["error"]]
    assert isinstance(failed["error"], ImageCorrupt)
    assert Path(failed["path"]).name == "bild-ü 20b.png"
    assert sum(not fields["box"] for fields in records(url).values()) == 40


@needs_transformers
def test_settings_and_mistakes_are_told_when_the_pipeline_is_built(detection, photos, tmp_path):
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
def test_the_operator_goes_into_a_pipeline_of_ones_own(detection, photos):
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
    made = [queue.get() for _ in range(queue.size)]
    image = blocks(1)
    assert [row for row, _, _ in made][-1] == path
    for _, told, pixels in made[:-1]:
        np.testing.assert_array_equal(pixels, crop(image, box(told)))
    np.testing.assert_array_equal(made[-1][2], image)


@settings(max_examples=40, deadline=None)  # a store each
@given(
    st.lists(st.integers(1, 30), min_size=1, max_size=12),
    st.integers(1, 8),
    st.integers(0, 5),
    st.sampled_from([None, 0.0, 0.5]),
    st.integers(0, 1000),
)
def test_a_search_counts_each_image_once_as_if_all_rows_were_read(parts, k, offset, least, seed):
    """`parts[i]` is how many rows image i has: one image may fill the first pages alone."""
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
        made = store.create("images", Schema(3, fields=dict.fromkeys(FIELDS, "str")))
        made.upsert(rows)
        query = np.array([1, 0, 0], np.float32)
        everything = made.search(query[None], k=len(rows), min_score=least)[0]
        best = {}
        for hit in everything:
            best[hit.fields["image"]] = max(
                best.get(hit.fields["image"], hit), hit, key=lambda each: each.score
            )
        expected = sorted(best.values(), key=lambda hit: -hit.score)[offset : offset + k]
        found = search_images(made, query, k=k, offset=offset, min_score=least)
        assert [(hit.id, hit.score) for hit in found] == [(hit.id, hit.score) for hit in expected]
        assert grouped(found) == found


def test_every_store_takes_rows_of_regions(bench):
    """Image 0 has five rows nearer than any other image's: a page of them names one image.

    The cosine of (1, i, p/10) and (1, 0, 0.2) is greatest at p = 2 (1 + i²).
    """
    made = bench.collection(fields=dict.fromkeys(FIELDS, "str"))
    made.upsert(
        Record(
            f"bild-ü{image}#{part}" if part else f"bild-ü{image}",
            np.array([1, image, part / 10, 0], np.float32),
            {"image": f"bild-ü{image}", "box": "1,2,30,40" if part else "", "object": "Käfer"},
        )
        for image in range(4)
        for part in (*range(1, 5), 0)
    )
    query = np.array([1, 0, 0.2, 0], np.float32)
    found = search_images(made, query, k=3)
    assert [hit.id for hit in found] == ["bild-ü0#2", "bild-ü1#4", "bild-ü2#4"]
    assert found[0].fields == {"image": "bild-ü0", "box": "1,2,30,40", "object": "Käfer"}
    assert search_images(made, query, k=2, offset=1) == found[1:]
    assert [hit.id for hit in search_images(made, query, k=9, where=WHOLE)][:2] == [
        "bild-ü0",
        "bild-ü1",
    ]
    assert made.count(WHOLE) == 4
    assert made.delete(["bild-ü0#2"]) == 1
    assert search_images(made, query, k=1)[0].id in {"bild-ü0#1", "bild-ü0#3"}
