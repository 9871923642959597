"""Parquet files that hold images, as data sets of Hugging Face do."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import imgsearch
from imgsearch.errors import SourceError
from imgsearch.images.inputs import Reading, count, field_types, references
from imgsearch.images.parquet_images import _check
from imgsearch.images.sources import read
from tests.pictures import write


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return [file.read_bytes() for file in write(tmp_path_factory.mktemp("fotos"), 3)]


def test_structs_of_bytes_and_path_are_images(tmp_path, photos):
    file = tmp_path / "größe.parquet"
    cells = [{"bytes": data, "path": f"{place}.png"} for place, data in enumerate(photos)]
    table = {"image": [*cells, None], "label": [3, 4, 5, 6], "caption": ["é", "b", "c", "d"]}
    pq.write_table(pa.table(table), file)
    images = list(references(file))
    assert [(image.path, image.label) for image in images] == [
        ("0.png", "3"), ("1.png", "4"), ("2.png", "5"),
    ]  # fmt: skip
    assert [read(image) for image in images] == photos
    assert all(image.fields == {} for image in images)
    assert next(references(file, Reading(types={"caption": "str"}))).fields == {"caption": "é"}
    assert count(file) == 4
    assert field_types(file) == {"caption": "str"}
    with imgsearch.open("memory://parquet-images", model="classic") as library:
        report = library.add(str(file))
        assert (report.added, report.failed, report.ignored) == (3, 0, 1)


def test_binary_columns_with_a_usual_name_are_images(tmp_path, photos):
    file = tmp_path / "x.pq"
    pq.write_table(pa.table({"key": ["a", "b"], "JPG": photos[:2], "url": ["u", "v"]}), file)
    images = list(references(file))
    assert [read(image) for image in images] == photos[:2]
    assert [image.path for image in images] == ["u", "v"]


def test_lists_of_paths_stay_lists(tmp_path, photos):
    (tmp_path / "a.png").write_bytes(photos[0])
    pq.write_table(pa.table({"path": ["a.png"], "hash": [b"x"]}), tmp_path / "x.parquet")
    assert [image.path for image in references(tmp_path / "x.parquet")] == [f"{tmp_path}/a.png"]


def test_damaged_files_and_bombs_are_refused(tmp_path, photos):
    file = tmp_path / "x.parquet"
    pq.write_table(pa.table({"image": photos}), file, compression="none")
    content = bytearray(file.read_bytes())
    content[4:200] = bytes(196)
    file.write_bytes(content)
    with pytest.raises(SourceError, match=r"x\.parquet: damaged"):
        list(references(file))

    class Column:
        total_uncompressed_size, total_compressed_size = 2**31, 1_000
        path_in_schema = "image\x1b"

    with pytest.raises(SourceError, match=r"refused: column .* has 2,147,483,648 bytes in 1,000"):
        _check(Column, "x.parquet")
