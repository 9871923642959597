"""Declared fields: types, values from every source, updates, and fields added later."""

import uuid

import numpy as np
import pandas as pd
import pytest

import imgsearch
from imgsearch import Field
from imgsearch.errors import ConfigError, FieldInvalid, SchemaMismatch
from imgsearch.fields import declared, from_text, typed
from tests.pictures import picture

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
        ({"year": complex}, ConfigError, "unknown type complex. Use one of str, int, float, bool"),
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
