"""Operators that find objects, crop, and search with faiss, called as public notebooks do."""

import importlib.util

import numpy as np
import pytest

from imgsearch.errors import ConfigError, FieldInvalid
from imgsearch.towhee import operator_names
from imgsearch.towhee.imports import towhee
from tests.pictures import picture, write

ops, pipe = towhee.ops, towhee.pipe


def test_notebook_writes_and_searches_a_faiss_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files = [str(path) for path in write(tmp_path, 6)]
    embed = (
        pipe.input("file_name")
        .map("file_name", "img", ops.image_decode.cv2("rgb"))
        .map("img", "vec", ops.image_embedding.timm(model_name="classic"))
        .map("vec", "vec", ops.towhee.np_normalize())
    )
    insert = embed.map(
        ("vec", "file_name"), (), ops.ann_insert.faiss_index("./faiss", 722)
    ).output()
    for file in files:
        insert(file)
    insert.flush()
    decode = ops.image_decode.cv2("rgb")
    search = (
        embed.map("vec", "row", ops.ann_search.faiss_index("./faiss", 5))
        .map("row", "images", lambda rows: [decode(row[2][0]) for row in rows])
        .output("row", "images")
    )
    rows, images = search(files[3]).get()
    assert (rows[0][0], rows[0][2], len(rows)) == (3, [files[3]], 5)
    assert rows[0][1] == pytest.approx(0, abs=1e-5)
    assert images[0].shape == (48, 64, 3)


def test_crops_keep_the_mode_and_are_copies():
    image = towhee.types.Image(picture(1, (64, 48)), "BGR")
    crop, other = ops.image_crop()(image, [[2, 3, 12, 23], (0, 0, 64, 48)])
    assert (crop.shape, crop.mode, other.shape) == ((20, 10, 3), "BGR", (48, 64, 3))
    assert np.array_equal(crop, image[3:23, 2:12])
    crop[:] = 0
    assert image[3:23, 2:12].any()
    (single,) = ops.towhee.image_crop()(image, np.array([2, 3, 12, 23]))
    assert single.shape == (20, 10, 3)
    assert ops.image_crop()(image, []) == []


@pytest.mark.parametrize(
    "box",
    [[-5, 0, 10, 10], [0, 0, 65, 10], [10, 0, 5, 9], [0, 0, 10], "box", [0, 0, np.nan, 9], [[[1]]]],
)
def test_box_outside_the_image_is_an_error(box):
    with pytest.raises(FieldInvalid, match="box"):
        ops.image_crop()(picture(1, (64, 48)), [box])


def test_clamped_box_is_cut_at_the_edge():
    (crop,) = ops.image_crop(clamp=True)(picture(1, (64, 48)), [[-5, 40, 10, 99]])
    assert crop.shape == (8, 10, 3)
    with pytest.raises(FieldInvalid, match="not inside the image of 64 x 48"):
        ops.image_crop(clamp=True)(picture(1, (64, 48)), [[70, 0, 80, 10]])


def test_detector_needs_a_folder(monkeypatch):
    monkeypatch.delenv("IMGSEARCH_DETECTOR", raising=False)
    with pytest.raises(ConfigError, match=r"weights=FOLDER, or set IMGSEARCH_DETECTOR"):
        ops.object_detection.yolov5()(picture(1))


@pytest.fixture(scope="module")
def detector(tmp_path_factory):
    if any(importlib.util.find_spec(name) is None for name in ("transformers", "torch", "timm")):
        pytest.skip("detectors need the extras torch and regions")
    from tests.detectors import write_detector

    folder = tmp_path_factory.mktemp("detector")
    write_detector(folder)
    return folder


def largest(image, boxes):
    """Return the part of the largest box, as the deep-dive notebook does."""
    areas = [(right - left) * (bottom - top) for left, top, right, bottom in boxes]
    if not areas:
        return image
    left, top, right, bottom = boxes[int(np.argmax(areas))]
    return image[top:bottom, left:right, :]


def test_notebook_crops_the_largest_object(detector, tmp_path, monkeypatch):
    monkeypatch.setenv("IMGSEARCH_DETECTOR", str(detector))
    (file,) = write(tmp_path, 1)
    detection = (
        pipe.input("path")
        .map("path", "img", ops.image_decode("rgb"))
        .map("img", ("boxes", "class", "score"), ops.object_detection.yolov5(threshold=0.0))
    )
    boxes, classes, scores = detection.output("boxes", "class", "score")(str(file)).get()
    assert len(boxes) == len(classes) == len(scores) > 1
    assert all(type(edge) is int for box in boxes for edge in box)
    assert set(classes) <= {"Käfer", "dog", "cat"}
    assert scores == sorted(scores, reverse=True)
    crops = (
        detection.map(("img", "boxes"), "object", largest)
        .map(("img", "boxes"), "crops", ops.image_crop(clamp=True))
        .map("crops", "vectors", ops.image_embedding.timm(model_name="classic"))
        .output("object", "crops", "vectors")
    )
    image, parts, vectors = crops(str(file)).get()
    assert max(part.size for part in parts) == image.size
    assert [vector.shape for vector in vectors] == [(722,)] * len(boxes)


def test_detections_as_rows_give_a_crop_each(detector, tmp_path):
    (file,) = write(tmp_path, 1)
    rows = (
        pipe.input("url")
        .map("url", "img", ops.image_decode.cv2_rgb())
        .flat_map(
            "img",
            ("box", "class", "score"),
            ops.object_detection.yolo(weights=str(detector), threshold=0.0),
        )
        .flat_map(("img", "box"), "object", ops.towhee.image_crop())
        .output("box", "object")
    )(str(file))
    assert rows.size > 1
    for _ in range(rows.size):
        (left, top, right, bottom), crop = rows.get()
        assert crop.shape == (bottom - top, right - left, 3)


def test_nothing_found_gives_three_empty_lists(detector):
    detection = ops.object_detection.yolov5(weights=str(detector), threshold=1.0)
    assert detection(picture(1, (64, 48))) == ([], [], [])
    assert ops.object_detection.yolo(weights=str(detector), threshold=1.0)(picture(1)) == []


def test_encoder_operators_name_their_models():
    operator_names()  # registers ops.imgsearch
    images = ops.imgsearch.image_embedding().get_op().supported_model_names()
    texts = ops.imgsearch.text_embedding("lite").get_op().supported_model_names(format="onnx")
    assert {"lite", "classic", "resnet50"} <= set(images)
    assert "lite" in texts
    assert set(texts) < set(images)
