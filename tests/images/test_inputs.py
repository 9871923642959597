"""Every kind of object that can be added, and typed errors for all others."""

import hashlib
import io
import threading
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from PIL import Image

from imgsearch.errors import ImageTooLarge, SourceError
from imgsearch.images import decode, sources
from imgsearch.images.inputs import Reading, count, count_beside, field_types, references
from imgsearch.images.objects import encoded
from tests.pictures import picture, write

RGB = picture(1)
PICTURES = [picture(seed) for seed in range(3)]


def png(pixels=RGB):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


class OnDevice:
    """A tensor on a GPU."""

    ndim = 3

    def __array__(self, dtype=None, copy=None):
        raise TypeError("can't convert cuda:0 device type tensor to numpy")


class Tensor:
    """An object that NumPy can read."""

    def __init__(self, values):
        self.values, self.ndim = values, values.ndim

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.values, dtype=dtype)


def read(source, **options):
    """Return path, label, fields and pixels of each image."""
    listed = list(references(source, Reading(**options)))
    assert count(source) == len(listed) or isinstance(source, type(iter("")))
    return [
        (image.path, image.label, dict(image.fields), decode(sources.read(image)))
        for image in listed
    ]


def test_id_of_pixels_is_the_hash_of_size_and_rgb_bytes():
    pixels = np.array([[[1, 2, 3], [4, 5, 6]]], np.uint8)  # 2 pixels wide, 1 high
    expected = hashlib.sha256(b"P6\n2 1\n255\n\1\2\3\4\5\6").hexdigest()
    for value in (pixels, pixels / 255, Tensor(pixels), Image.fromarray(pixels)):
        assert sources.content_id(encoded(value)) == expected
    assert sources.content_id(encoded(pixels.transpose(1, 0, 2))) != expected
    assert encoded(bytearray(png())) == png()  # the bytes of a file are its content


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK"])
def test_pillow_image_keeps_its_pixels_and_its_path(tmp_path, mode):
    file = tmp_path / "größe.tif"
    Image.fromarray(RGB).convert(mode).save(file)
    with Image.open(file) as image:
        ((path, label, fields, pixels),) = read(image)
    assert (path, label, fields) == (str(file), None, {})
    np.testing.assert_array_equal(pixels, decode(file.read_bytes()))


@pytest.mark.parametrize(
    "source",
    [
        png(), bytearray(png()), memoryview(png()), Image.fromarray(RGB), RGB, RGB / 255,
        (RGB / 255).astype(np.float16), Tensor(RGB), Tensor(RGB.transpose(2, 0, 1)),
        [RGB], (RGB,), RGB[None],
    ],
)  # fmt: skip
def test_one_image_in_memory(source):
    ((path, label, fields, pixels),) = read(source)
    assert (path, label, fields) == ("", None, {})
    np.testing.assert_array_equal(pixels, RGB)


@pytest.mark.parametrize(
    "source",
    [
        [("猫.png", png()), ("b.png", RGB)],
        [{"path": "猫.png", "image": png()}, {"image": RGB, "file": "b.png"}],
        pd.DataFrame({"path": ["猫.png", "b.png"], "photo": [png(), RGB]}),
        pa.table({"image": [png(), png()], "path": ["猫.png", "b.png"]}),
        pa.record_batch(
            {"image": [{"bytes": png(), "path": name} for name in ("猫.png", "b.png")]}
        ),
    ],
    ids=["pairs", "dicts", "pandas", "arrow", "batch"],
)
def test_named_images(source):
    assert [image[0] for image in read(source)] == ["猫.png", "b.png"]


def test_paths_in_every_container(tmp_path):
    files = [str(file) for file in write(tmp_path, 2)]
    for source in (
        files, tuple(files), pd.Series(files), np.array(files), pa.chunked_array([files]),
        pd.DataFrame({"Datei": [1, 2], "File": files}), pa.table({"filename": files}),
        [{"img": file} for file in files], (file for file in files), [tmp_path],
        pd.DataFrame({"image": files}),
    ):  # fmt: skip
        listed = list(references(source))
        assert [image.path for image in listed] == files
        assert all(image.content is None for image in listed)


def test_columns_become_label_and_fields():
    frame = pd.DataFrame(
        {
            "image": [RGB, PICTURES[0], None],
            "label": ["cafe\u0301", None, "x"],
            "year": [2019, 2024, 1],
            "rating": [None, 4.5, 1],
            "taken": pd.to_datetime(["2024-05-01T10:00", None, None]),
            "two words": [1, 2, 3],
            "box": [[1, 2], [3, 4], [5, 6]],
            "path": [None, "", None],
        }
    )
    notes, ignored = [], []
    listed = list(references(frame, Reading(ignored=ignored.append, note=notes.append)))
    assert [(image.label, dict(image.fields)) for image in listed] == [
        ("café", {"year": 2019, "taken": "2024-05-01T10:00:00"}),
        ("", {"year": 2024, "rating": 4.5}),
    ]
    assert ignored == ["row 3"]
    assert len(set(notes)) == 2
    assert notes[0].startswith("column 'two words' was not added as a field: field name")
    assert notes[1].startswith("column 'box' was not added as a field: a list is not a str")


def test_label_of_a_pair_is_a_text_or_a_number():
    listed = list(references([(RGB, "猫"), (RGB, 7), (RGB, np.int64(8)), (RGB, None)]))
    assert [image.label for image in listed] == ["猫", "7", "8", None]
    with pytest.raises(
        SourceError, match="the label of image 1 is a dict: give a text or a number"
    ):
        list(references([(RGB, {"box": 1})]))


def test_table_and_list_file_have_the_same_columns(tmp_path):
    frame = pd.DataFrame({"Dateiname": ["a.png", "b.png"], "Klasse": ["Käfer", None], "x": [1, 2]})
    frame.to_csv(tmp_path / "l.csv")
    reading = Reading(all_fields=True, types={"x": "int"})
    for source in (frame, tmp_path / "l.csv", frame.to_dict("records")):
        images = list(references(source, reading))
        assert [Path(image.path).name for image in images] == ["a.png", "b.png"]
        assert [image.label for image in images] == ["Käfer", ""]
        assert [dict(image.fields)["x"] for image in images] == [1, 2]
    named = Reading(path_column="Klasse", label_column="x")
    assert [(image.path, image.label) for image in references(frame, named)] == [("Käfer", "1")]
    with pytest.raises(SourceError, match="the table: its columns 'file', 'url' may all hold"):
        references(pd.DataFrame({"file": ["a"], "url": ["b"]}))


def test_path_column_is_named():
    frame = pd.DataFrame({"path": ["x"], "there": ["a.png"]})
    (image,) = references(frame, Reading("there"))
    assert (image.path, dict(image.fields)) == ("a.png", {})
    with pytest.raises(SourceError, match="no column is called 'their', for the path.*; did you"):
        references(frame, Reading("their"))


def test_repeated_columns_of_a_table_are_noted():
    frame = pd.DataFrame([["a.png", "x", 2]], columns=["path", "year", "year"])
    for table in (frame, pa.table([["a.png"], ["x"], [2]], names=["path", "year", "year"])):
        notes = []
        (image,) = references(table, Reading(note=notes.append))
        assert image.fields == {"year": 2}
        assert notes == ["the table has several columns 'year': the last is read"]
        assert field_types(table)["year"] == "int"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (np.ones(5), "the image is a vector of 5 numbers. Vectors are for search"),
        (np.ones((1, 5), np.float32), "the image is a vector of 5 numbers"),
        ([0.5, 1], "the list is a vector of 2 numbers"),
        ([1, 2, 3], "the list is a vector of 3 numbers"),
        ([[1, 2], [3, 4]], "image 1 is a vector of 2 numbers"),
        (42, "the source is an int, which cannot be added. Give paths, images"),
        (None, "the source is a NoneType"),
        (["a.jpg", 42], "image 2 is an int"),
        ([RGB, None], "image 2 is a NoneType"),
        ([RGB, {"year": 3}], "image 2 has no column of paths or images.*, but: year"),
        (pd.DataFrame({"a": [1]}), "the table has no column of paths or images.*, but: a"),
        (pd.DataFrame(), "the table has no column of paths or images.*, but: none"),
        (pa.table({"b": [1]}), "the table has no column of paths or images"),
        (RGB.astype(np.int64), r"pixels are uint8 or floats \(height, width, 3\), RGB, not int64"),
        (np.zeros((0, 2, 3), np.uint8), "pixels are uint8 or floats"),
        (RGB * 1.0, r"float pixels must be in \[0, 1\]"),
        (OnDevice(), "cannot read the OnDevice as an array"),
        ({"a": 1}, "the image has no column of paths or images"),
        (object(), "the source is an object"),
    ],
)  # fmt: skip
def test_other_objects_are_refused_before_anything_is_read(source, message):
    with pytest.raises(SourceError, match=message):
        references(source)


def test_items_of_an_iterator_are_taken_one_by_one():
    taken = []

    def images():
        for seed in range(10**9):
            taken.append(seed)
            yield PICTURES[0]

    listed = references(images())
    assert count(images()) == 0
    next(listed), next(listed)
    assert taken == [0, 1]
    with pytest.raises(SourceError, match="image 2 is an int"):
        list(references(iter([RGB, 2])))


def test_unusable_pixels_fail_alone():
    good, bad = references([RGB, RGB * 1.0])
    decode(sources.read(good))
    with pytest.raises(SourceError, match=r"image 2: float pixels must be in \[0, 1\]"):
        sources.read(bad)
    with pytest.raises(ImageTooLarge):
        sources.read(good, max_pixels=64 * 48 - 1)


def test_huge_arrow_table_is_converted_in_parts():
    batch = pa.record_batch(
        {"path": pa.array(["x.png"]).take(pa.array(np.zeros(10_000, np.int32)))}
    )
    reader = pa.RecordBatchReader.from_batches(batch.schema, (batch for _ in range(10**6)))
    listed = references(reader)
    assert [next(listed).path for _ in range(3)] == ["x.png"] * 3


class Endless:
    """Images whose number is known only after the first one was read."""

    def __init__(self):
        self.read = threading.Event()

    def __len__(self):
        assert self.read.wait(30)
        return 3

    def __iter__(self):
        for place in range(3):
            yield f"{place}.jpg", np.full((8, 8, 3), place, np.uint8)
            self.read.set()


def test_sources_are_read_before_they_are_counted():
    images, totals, counted = Endless(), [], threading.Event()
    count_beside([images], Reading(), lambda n: (totals.append(n), counted.set()), patience=0)
    assert totals == []
    assert len(list(references(images))) == 3
    assert counted.wait(30)
    assert totals == [3]


def test_small_sources_are_counted_at_once_and_faulty_ones_not_at_all(tmp_path):
    totals = []
    write(tmp_path, 2)
    count_beside([tmp_path, ["a.jpg"]], Reading(), totals.append, patience=30)
    assert totals == [3]
    count_beside([tmp_path / "missing"], Reading(), totals.append, patience=30)
    assert totals == [3]
