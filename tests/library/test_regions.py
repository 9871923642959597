"""Regions: selection, by hand and by properties, a small detector, libraries with regions."""

import importlib.util
import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import imgsearch
from imgsearch.backends.regions import grouped
from imgsearch.errors import ConfigError, SchemaMismatch, WeightsInvalid, WeightsNotFound
from imgsearch.images.regions import Region, box, crop, rows, select, text, union_share
from imgsearch.types import Hit

needs_transformers = pytest.mark.skipif(
    importlib.util.find_spec("transformers") is None, reason="detectors are of the extra regions"
)


def test_overlap_of_boxes_is_worked_by_hand():
    assert union_share((0, 0, 4, 4), (2, 2, 6, 6)) == 4 / 28
    assert union_share((0, 0, 4, 4), (0, 0, 4, 4)) == 1
    assert union_share((0, 0, 4, 4), (4, 0, 8, 4)) == 0
    assert union_share((0, 0, 0, 0), (0, 0, 0, 0)) == 0


def test_most_certain_of_overlapping_regions_is_kept():
    candidates = [
        Region((0, 0, 100, 100), "dog", 0.6),
        Region((0, 0, 100, 98), "Käfer", 0.9),  # covers 0.98 of the first
        Region((50, 50, 200, 170), "cat", 0.8),  # cut to 120 x 100
        Region((0, 0, 31, 100), "thin", 0.99),
        Region((0, 0, 90, 90), "unsure", 0.49),
        Region((-5, -5, 40, 40), "out", 0.5),
    ]
    assert select(candidates, 120, 100, overlap=0.9) == [
        Region((0, 0, 100, 98), "Käfer", 0.9),
        Region((50, 50, 120, 100), "cat", 0.8),
        Region((0, 0, 40, 40), "out", 0.5),
    ]
    assert len(select(candidates, 120, 100, most=1)) == 1
    assert select([], 10, 10) == []


edges = st.integers(-20, 120)
regions = st.builds(
    Region,
    st.tuples(edges, edges, edges, edges),
    st.sampled_from(["dog", "Käfer"]),
    st.floats(0, 1, allow_nan=False),
)


@given(st.lists(regions, max_size=12))
def test_chosen_regions_are_inside_the_image_and_apart(candidates):
    kept = select(candidates, 100, 80, smallest=10, overlap=0.5)
    assert kept == select(candidates[::-1], 100, 80, smallest=10, overlap=0.5)
    assert len(kept) <= 8
    assert [region.score for region in kept] == sorted(
        (region.score for region in kept), reverse=True
    )
    for place, region in enumerate(kept):
        left, top, right, bottom = region.box
        assert 0 <= left <= right - 10
        assert right <= 100
        assert 0 <= top <= bottom - 10
        assert bottom <= 80
        assert box(text(region.box)) == region.box
        assert all(union_share(region.box, other.box) <= 0.5 for other in kept[:place])


@given(st.lists(st.tuples(st.sampled_from("abcdé"), st.integers(0, 4)), max_size=30))
def test_image_has_one_hit_its_nearest_region(pairs):
    hits = [
        Hit(f"{image}#{part}" if part else image, 1 - place / 100, place / 100, {"image": image})
        for place, (image, part) in enumerate(pairs)
    ]
    expected = [hit for place, hit in enumerate(hits)
                if pairs[place][0] not in [image for image, _ in pairs[:place]]]  # fmt: skip
    assert grouped(hits) == expected


def test_rows_of_one_image_end_with_the_whole():
    image = np.arange(6 * 8 * 3, dtype=np.uint8).reshape(6, 8, 3)
    image_rows = list(rows("äb", image, [Region((1, 2, 5, 6), "Käfer", 0.9)]))
    assert [row[:3] for row in image_rows] == [("äb#1", "1,2,5,6", "Käfer"), ("äb", "", "")]
    np.testing.assert_array_equal(image_rows[0][3], image[2:6, 1:5])
    assert image_rows[1][3] is image
    assert crop(image, (1, 2, 5, 6)).flags.c_contiguous
    assert box("") is None
    with pytest.raises(ConfigError, match="left,top,right,bottom"):
        box("1,2,drei,4")


@pytest.fixture(scope="module")
def detector(tmp_path_factory):
    pytest.importorskip("transformers")
    from tests.detectors import write_detector

    folder = tmp_path_factory.mktemp("Melder-ü")
    write_detector(folder)
    return folder


@pytest.fixture
def photos(tmp_path):
    """Return a folder of six pictures of blocks, and a file that is not an image."""
    folder = tmp_path / "fötos"
    folder.mkdir()
    random = np.random.default_rng(8)
    for number in range(6):
        blocks = random.integers(0, 256, (9, 12, 3), dtype=np.uint8)
        Image.fromarray(blocks.repeat(20, 0).repeat(20, 1)).save(folder / f"bild {number}.png")
    (folder / "kaputt.jpg").write_bytes(b"\xff\xd8\xff no more")
    return folder


def detection(folder):
    from imgsearch.encoders.detector import Detection

    return Detection(str(folder), threshold=0.0, most=4, smallest=16)


@needs_transformers
def test_detector_agrees_with_transformers(detector, photos):
    import torch
    import transformers

    image = np.asarray(Image.open(photos / "bild 0.png"))
    model = transformers.YolosForObjectDetection.from_pretrained(detector).eval()
    processor = transformers.YolosImageProcessorPil.from_pretrained(detector)
    with torch.inference_mode():
        detections = processor.post_process_object_detection(
            model(**processor(images=Image.fromarray(image), return_tensors="pt")),
            threshold=0.0,
            target_sizes=[image.shape[:2]],
        )[0]
    candidates = [
        Region(tuple(round(edge) for edge in edges), {0: "Käfer", 1: "dog", 2: "cat"}[label], score)
        for edges, label, score in zip(
            detections["boxes"].tolist(),
            detections["labels"].tolist(),
            detections["scores"].tolist(),
            strict=True,
        )
    ]
    expected = select(candidates, 240, 180, threshold=0.0, most=4, smallest=16)
    assert len(expected) >= 2
    got = detection(detector)(image)
    assert [(region.box, region.label) for region in got] == [
        (region.box, region.label) for region in expected
    ]


@needs_transformers
@pytest.mark.parametrize("store", ["memory://regionen", "regionen.db"])
def test_object_is_found_with_its_box(detector, photos, tmp_path, store):
    url = store if store.startswith("memory") else str(tmp_path / store)
    with imgsearch.open(url, model="classic", regions=detection(detector)) as library:
        report = library.add(photos)
        assert (report.added, report.failed) == (6, 1)
        assert library.count() == 6
        rows_ = library.collection.count()
        assert rows_ > 12
        image = np.asarray(Image.open(photos / "bild 3.png"))
        region = detection(detector)(image)[1]
        hits = library.search(crop(image, region.box), k=6)
        assert hits[0].score == pytest.approx(1, abs=1e-4)
        assert hits[0].fields["box"] == text(region.box)
        assert hits[0].fields["object"] == region.label
        assert hits[0].fields["path"].endswith("bild 3.png")
        assert len({hit.fields["image"] for hit in hits}) == len(hits) == 6
        assert library.search(crop(image, region.box), k=2, offset=2) == hits[2:4]
        assert library.search(image, k=1)[0].fields["box"] == ""
        again = library.add(photos)
        assert (again.added, again.skipped) == (0, 6)
        assert library.collection.count() == rows_
        assert library.remove(photos / "bild 3.png") == 1
        assert library.count() == 5
        left = library.collection.iterate(vectors=False)
        assert hits[0].fields["image"] not in {hit.fields["image"] for hit in left}
        whole = library.search(image, k=1)[0].fields["image"]
        part = library.search(crop(np.asarray(Image.open(photos / "bild 1.png")), region.box), k=1)[
            0
        ]
        assert library.remove(part.id) == 1  # removing a region removes its image
        assert library.remove(whole) == 1
        assert library.count() == 3
        assert library.remove(photos / "nicht da.png") == 0


@needs_transformers
def test_pipelines_insert_and_search_regions(detector, photos, tmp_path):
    from imgsearch.pipelines import insert_pipeline, search_pipeline

    url = str(tmp_path / "a.db")
    with imgsearch.connect(url):
        inserted = list(
            insert_pipeline(url, model="classic", regions=detector).stream([str(photos)])
        )
        failed = [row for row in inserted if row["error"] is not None]
        assert len(failed) == 1
        assert "ImageCorrupt" in type(failed[0]["error"]).__name__
        query = str(photos / "bild 2.png")
        hits = search_pipeline(url, model="classic", k=6)(query)[0]["hits"]
        assert len({hit.fields["image"] for hit in hits}) == 6
        assert hits[0].fields["path"] == query


@needs_transformers
def test_invalid_options_raise(detector, photos, tmp_path):
    from imgsearch.encoders.detector import Detection

    image = np.zeros((64, 64, 3), np.uint8)
    with pytest.raises(WeightsNotFound, match=r"config\.json is missing"):
        Detection(str(tmp_path))(image)
    other = tmp_path / "ander"
    other.mkdir()
    for file in detector.iterdir():
        (other / file.name).write_bytes(file.read_bytes())
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 3}))
    with pytest.raises(WeightsInvalid, match="missing"):
        Detection(str(other))(image)
    (other / "config.json").write_text('{"model_type": "größe"}')
    with pytest.raises(WeightsInvalid, match="not a detector's folder"):
        Detection(str(other))(image)
    with (
        imgsearch.open("memory://kein-melder", model="classic", regions=tmp_path) as library,
        pytest.raises(WeightsNotFound, match="detector's folder"),
    ):
        library.add(photos)
    with imgsearch.open("memory://ohne", model="classic") as library:
        library.add(photos)
    with (
        imgsearch.open("memory://ohne", regions=detector) as library,
        pytest.raises(SchemaMismatch, match="created without them"),
    ):
        library.add(photos)


@needs_transformers
def test_migration_finds_regions_again(detector, photos):
    (photos / "kaputt.jpg").unlink()
    url = "memory://regionen-umzug"
    with imgsearch.open(url, model="classic", regions=detection(detector)) as library:
        library.add(photos)
        before = {record.id: record.fields for record in library.collection.iterate()}
        library.migrate("lite")
        library.remove(photos / "bild 3.png")
        changed = next(iter(library.collection.get([min(before)], vectors=True).values()))
        fields = {**changed.fields, "label": "Käfer"}
        library.collection.upsert([replace(changed, fields=fields)])
        report = library.migrate("lite", switch=True)
        assert (report.switched, report.load.added, report.load.skipped) == (True, 0, 4)
        assert report.load.updated == 1
        after = {record.id: record.fields for record in library.collection.iterate()}
        removed = {id_ for id_ in before if before[id_]["path"].endswith("bild 3.png")}
        assert after.keys() == before.keys() - removed
        for id_, values in after.items():
            image = min(before) == id_.partition("#")[0]
            assert values == {**before[id_], **({"label": "Käfer"} if image else {})}
        assert library.count() == 5
    with imgsearch.open(url) as library, pytest.raises(ConfigError, match="regions=FOLDER"):
        library.migrate("classic")
