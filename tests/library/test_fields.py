"""Declared fields: types, values from every source, updates, and fields added later."""

import datetime as dt
import io
import time
import uuid

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from PIL import Image
from pyarrow import parquet

import imgsearch
from imgsearch import Field
from imgsearch.errors import ConfigError, FieldInvalid, SchemaMismatch
from imgsearch.fields import common_type, declared, from_text, type_of, typed
from imgsearch.images import sources
from imgsearch.images.metadata import FIELDS
from imgsearch.library import file_index, tracked_files
from tests.pictures import picture, write

TYPES = {"year": int, "city": str, "rating": float, "paid": bool}
RGB = [picture(seed) for seed in range(4)]


@pytest.fixture(params=["memory", "embedded"])
def url(request, tmp_path):
    return f"memory://{uuid.uuid4().hex}" if request.param == "memory" else str(tmp_path / "ü.db")


def opened(url, **options):
    return imgsearch.open(url, model="classic", **options)


def by_path(library):
    """Return the fields of the images, without the path, by path."""
    return {
        record.path: {name: value for name, value in record.fields.items() if name != "path"}
        for record in library.collection.iterate(vectors=False)
    }


def test_fields_of_rows_and_of_the_call_are_filtered(url):
    rows = [
        {"path": "a.png", "image": RGB[0], "year": 2019, "city": "Köln"},
        {"path": "b.png", "image": RGB[1], "year": 2024.0, "rating": 4, "city": None},
        {"path": "c.png", "image": RGB[2], "paid": np.bool_(False), "year": np.int64(2030)},
    ]
    with opened(url, fields=TYPES) as library:
        report = library.add(rows, fields={"paid": True, "city": "猫"})
        assert (report.added, report.notes) == (3, ())
        assert by_path(library) == {
            "a.png": {"label": "", "year": 2019, "city": "Köln", "rating": 0.0, "paid": True},
            "b.png": {"label": "", "year": 2024, "city": "猫", "rating": 4.0, "paid": True},
            "c.png": {"label": "", "year": 2030, "city": "猫", "rating": 0.0, "paid": False},
        }
        year, paid = Field("year"), Field("paid")
        paths = lambda where: {hit.path for hit in library.search(RGB[0], where=where)}  # noqa: E731
        assert paths((year >= 2020) & (year < 2030)) == {"b.png"}
        assert paths((Field("city") == "Köln") | (paid == False)) == {"a.png", "c.png"}  # noqa: E712
        assert paths(Field("rating") > 3.5) == {"b.png"}


def test_value_of_another_type_is_a_line_of_the_report(url):
    with opened(url, fields=TYPES) as library:
        frame = pd.DataFrame(
            {
                "image": RGB,
                "year": pd.Series([2020, "soon", 2020.5, True], dtype=object),
            }
        )
        report = library.add(frame)
        assert report.added == 1
        assert [(line.path, line.error, line.reason) for line in report.failures] == [
            ("row 2", "FieldInvalid", "field 'year' takes int, not str: 'soon'"),
            ("row 3", "FieldInvalid", "field 'year' takes int, not float: 2020.5"),
            ("row 4", "FieldInvalid", "field 'year' takes int, not bool: True"),
        ]
        for fields in ({"year": "2020"}, {"two words": 1}, {"city": 3}, {"tags": {}}):
            with pytest.raises(FieldInvalid):
                library.add(RGB[1], fields=fields)
        assert library.count() == 1


def test_added_again_updates_the_stated_values_only(url):
    with opened(url, fields=TYPES) as library:
        library.add([("a.png", RGB[0])], fields={"year": 2019, "city": "Köln"})
        same = library.add([("a.png", RGB[0])], fields={"year": 2019.0, "city": None})
        assert (same.updated, same.skipped) == (0, 1)
        report = library.add([("a.png", RGB[0])], fields={"year": 2020, "rating": 1.5})
        assert (report.added, report.updated, report.skipped) == (0, 1, 0)
        assert by_path(library)["a.png"] == {
            "label": "", "year": 2020, "city": "Köln", "rating": 1.5, "paid": False,
        }  # fmt: skip


def test_fields_are_added_to_an_existing_library(url):
    with opened(url) as library:
        library.add([("a.png", RGB[0])], fields={"own": 7})
        with pytest.raises(FieldInvalid, match="cannot filter on 'year'"):
            library.search(RGB[0], where=Field("year") == 0)
    with opened(url, fields={"year": int}) as library:
        library.add([("b.png", RGB[1])], fields={"year": 2024})
        assert by_path(library) == {
            "a.png": {"label": "", "own": 7, "year": 0},
            "b.png": {"label": "", "year": 2024},
        }
        assert [hit.path for hit in library.search(RGB[0], where=Field("year") > 0)] == ["b.png"]
    with opened(url) as library:
        assert library.collection.schema.fields == {"path": "str", "label": "str", "year": "int"}
        assert library.count() == 2
        library.add([("c.png", RGB[2])])
    with pytest.raises(SchemaMismatch, match="the field 'year' is int there, not str"):
        opened(url, fields={"year": str})


def test_note_names_an_undeclared_field_once(url):
    with opened(url) as library:
        report = library.add(list(RGB), fields={"year": 2024})
        (note,) = [note for note in report.notes if "year" in note]
        assert 'Declare it: imgsearch.open(…, fields={"year": int})' in note


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        ({"path": str}, ConfigError, "field 'path' cannot be declared: imgsearch sets it"),
        ({"box": str}, ConfigError, "imgsearch sets it"),
        ({"id": int}, FieldInvalid, "is reserved"),
        ({"größe": int}, FieldInvalid, "Use an ASCII identifier"),
        ({3: int}, FieldInvalid, "Use an ASCII identifier"),
        (
            {"year": complex},
            ConfigError,
            "unknown type complex. Use one of str, int, float, bool, list",
        ),
        ({"year": "integer"}, ConfigError, "unknown type 'integer'"),
        ({"year": None}, ConfigError, "unknown type None"),
        (["year:int", "year"], ConfigError, "declared twice"),
        ("year", ConfigError, "fields must be a dict"),
        (7, ConfigError, "fields must be a dict"),
    ],
)
def test_open_refuses_an_invalid_declaration(tmp_path, fields, error, message):
    with pytest.raises(error, match=message):
        imgsearch.open(tmp_path / "neu.db", fields=fields)
    assert not (tmp_path / "neu.db").exists()


def test_declaration_of_the_command_line():
    assert declared(["year:int", " city ", "r: float"]) == {
        "year": "int",
        "city": "str",
        "r": "float",
    }


def test_cells_of_a_csv_have_the_declared_type():
    assert [from_text("x", cell, "int") for cell in ("7", " -3 ", "2.0", "", "1_000")] == [
        7, -3, 2, None, 1000,
    ]  # fmt: skip
    assert [from_text("x", cell, "bool") for cell in ("Yes", "FALSE", "0", " ")] == [
        True, False, False, None,
    ]  # fmt: skip
    assert [from_text("x", cell, "float") for cell in ("1e3", "nan", "inf")] == [1000.0, None, None]
    assert from_text("x", " Köln ", "str") == "Köln"
    for cell, kind in (("2.5", "int"), ("x", "int"), ("x", "float"), ("maybe", "bool")):
        with pytest.raises(FieldInvalid, match="field 'x' takes"):
            from_text("x", cell, kind)


def test_values_of_the_store_s_limits():
    assert typed({"x": 2**62}, {"x": "float"}) == {"x": float(2**62)}
    assert typed({"x": "a\udcff"}, {}) == {"x": "a\\udcff"}
    with pytest.raises(FieldInvalid, match="field 'x': a list is not"):
        typed({"x": [1]}, {})
    with pytest.raises(FieldInvalid, match="field 'x' takes float: the number is too large"):
        typed({"x": 10**400}, {"x": "float"})


CSV = (
    "path,label,year,Postal code,rating,paid,two words,Größe\n"
    "bild-ü 0000.png,x,2019,01067,1.5,yes,a,1\n"
    "bild-ü 0001.png,x,,50667,2,no,b,2\n"
    "bild-ü 0002.png,x,2024,80331,,,,\n"
)


@pytest.fixture
def listed(tmp_path):
    write(tmp_path, 3)
    file = tmp_path / "fotos.csv"
    file.write_text(CSV, "utf-8")
    return file


def test_columns_of_a_list_fill_declared_fields_and_others_are_named(url, listed):
    with opened(url, fields={"year": int, "rating": float}) as library:
        report = library.add(listed)
        assert report.added == 3
        assert report.notes == (
            "fotos.csv: 4 columns were not added: 'Postal code', 'paid', 'two words', 'Größe'; "
            "declare their fields (fields=, --field), or add all (all_fields=, --all-fields)",
        )
        years = {hit.path[-8:]: hit["year"] for hit in library.search(RGB[0])}
        assert years == {"0000.png": 2019, "0001.png": 0, "0002.png": 2024}
        listed.write_text("path,year\nbild-ü 0000.png,soon\nbild-ü 0001.png,2020\n", "utf-8")
        again = library.add(listed)
        assert (again.updated, again.failed) == (1, 1)
        (failure,) = again.failures
        assert failure.path.endswith("0000.png")
        assert failure.reason.endswith("field 'year' takes int, not 'soon'")


def test_all_fields_declares_the_types_of_the_columns(url, listed):
    with opened(url) as library:
        library.add([("a.png", RGB[3])])  # the collection exists without these fields
        report = library.add(listed, all_fields=True)
        assert (report.added, report.notes) == (3, ())
        assert library.fields == {
            "path": "str", "label": "str", "year": "int", "postal_code": "str", "rating": "float",
            "paid": "bool", "two_words": "str", "groe": "int",
        }  # fmt: skip
        where = (Field("postal_code") == "01067") | (Field("rating") == 2)
        assert {hit["paid"] for hit in library.search(RGB[0], where=where)} == {True, False}
        frame = pd.DataFrame({"image": [RGB[2]], "seen": [7], "words": ["x"], "box": [[1]]})
        library.add(frame, all_fields=True)
        assert library.fields["seen"] == "int"
        assert len(library.search(RGB[0], where=Field("seen") == 7)) == 1


def test_parquet_keeps_its_types(url, listed, tmp_path):
    table = pa.table(
        {
            "path": [f"bild-ü 000{place}.png" for place in range(3)],
            "year": pa.array([2019, None, 2024], pa.int32()),
            "taken": pa.array([dt.date(2024, 5, 1), None, None]),
        }
    )
    parquet.write_table(table, tmp_path / "fotos.parquet")
    with opened(url) as library:
        assert library.add(tmp_path / "fotos.parquet", all_fields=True).added == 3
        hits = library.search(RGB[0], where=Field("year") == 2019)
        assert [(hit["year"], hit["taken"]) for hit in hits] == [(2019, "2024-05-01")]


def test_types_are_inferred_from_all_cells():
    def common(*cells):
        return common_type(map(type_of, cells))

    assert common("1", "", None, "-2") == "int"
    assert common("1", "2.5", "1e9", ".5") == "float"
    assert common("007", "1") == "str"
    assert common("1", "no") == common(1, True) == common() == common("") == "str"
    assert common("Yes", "false") == "bool"
    assert common(np.int64(3), float("nan")) == "int"


def photo(number, **tags):
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9003] = f"20{number:02d}:05:01 12:00:00"
    exif.get_ifd(0x8825).update({1: "N", 2: (50.0 + number, 0.0, 0.0), 3: "E", 4: (7.0, 0.0, 0.0)})
    file = io.BytesIO()
    Image.fromarray(picture(number)).save(file, "JPEG", exif=exif)
    return file.getvalue()


def test_metadata_of_files_is_filtered_by_range_and_box(url, tmp_path):
    for number in range(3):
        (tmp_path / f"ü{number}.jpg").write_bytes(photo(number))
    (tmp_path / "kaputt.jpg").write_bytes(photo(4)[:300])
    with opened(url, exif=True) as library:
        report = library.add(tmp_path, RGB[3], fields={"camera": "X"})
        assert (report.added, report.failed) == (4, 1)
        where = "taken >= '2001' and taken < '2003' and latitude >= 50 and latitude <= 51.5"
        (hit,) = library.search(RGB[0], where=f"{where} and longitude > 6")
        assert (hit.path[-6:], hit["taken"], hit["width"]) == ("ü1.jpg", "2001-05-01T12:00:00", 64)
        assert hit["camera"] == "X"  # stated by the call
        library.add([("ü1.jpg", photo(1))], fields={"latitude": 1.5})
    with opened(url) as library:  # the collection remembers that it has them
        assert library.exif == tuple(FIELDS)
        assert library.add([("ü1.jpg", photo(1))]).skipped == 1  # what a user changed stays
        library.add([("neu.jpg", photo(5))])
        assert by_path(library)["neu.jpg"]["taken"] == "2005-05-01T12:00:00"
    with opened(url, exif=False) as library:
        library.add([("still.jpg", photo(6))])
        assert by_path(library)["still.jpg"]["taken"] == ""


def test_metadata_is_read_on_request_only(url):
    with opened(url, fields={"taken": str}) as library:
        library.add([("a.jpg", photo(1))])
        assert by_path(library)["a.jpg"] == {"label": "", "taken": ""}
    with opened(url, exif=["taken", "width"]) as library:
        assert library.add([("a.jpg", photo(1))]).updated == 1
        assert by_path(library)["a.jpg"]["taken"] == "2001-05-01T12:00:00"
        assert set(library.fields) == {"path", "label", "taken", "width"}


def test_lists_of_texts_are_found_by_their_items(url):
    with opened(url, fields={"tags": list}) as library:
        rows = [["dog", "Käse; alt"], ("cat",), "caterpillar", ["a", "cat", "z"], [], None]
        images = [
            {"image": picture(n), "path": f"{n}.png", "tags": tags} for n, tags in enumerate(rows)
        ]
        assert library.add(images).added == 6
        assert by_path(library)["0.png"]["tags"] == "dog; Käse, alt"

        def paths(where):
            return sorted(hit.path for hit in library.search(RGB[0], where=where))

        assert paths(Field("tags").contains("cat")) == ["1.png", "3.png"]
        assert paths("tags contains dog or tags contains 'z'") == ["0.png", "3.png"]
        assert paths({"tags": {"contains": "Käse, alt"}}) == ["0.png"]
        assert paths({"tags": {"contains": "Käse; alt"}}) == ["0.png"]
        assert paths("not tags contains cat and tags is not null") == ["0.png", "2.png"]
        assert paths("tags contains '*'") == []
        library.add([{"path": "3.png", "image": picture(3), "tags": []}])
        assert paths("tags contains cat") == ["1.png"]


@pytest.mark.parametrize("load", ["add", "sync"])
def test_unchanged_files_are_read_again_for_facts_once(url, tmp_path, monkeypatch, load):
    for module in (tracked_files, file_index):
        monkeypatch.setattr(module, "time_ns", lambda: time.time_ns() + 10**10)
    folder, note = tmp_path / "bilder", "2 images of the library were read again for {}"
    (plain,) = write(folder, 1)
    (folder / "ü.jpg").write_bytes(photo(19))
    with opened(url) as library:
        assert (library.add(folder).added, library.exif) == (2, ())
    (new,) = write(folder, 1, start=5)
    with opened(url, exif=["taken"]) as library:
        report = getattr(library, load)(folder)
        assert (report.added, report.updated, report.notes) == (1, 1, (note.format("taken"),))
        (hit,) = library.search(RGB[0], where="taken like '2019%'")
        assert hit.path == str(folder / "ü.jpg")
    new.unlink()
    with opened(url, exif=["taken"]) as library, monkeypatch.context() as patch:
        patch.setattr(sources, "read", lambda *_args, **_options: 1 / 0)
        report = getattr(library, load)(folder)
        assert (report.updated, report.failed, report.notes) == (0, 0, ())
    with opened(url, exif=["width"]) as library:
        report = getattr(library, load)(plain.parent)
        assert (report.updated, report.notes) == (2, (note.format("width"),))
