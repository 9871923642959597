"""Rows that faiss searches: distances by hand, damaged files, hostile values."""

import numpy as np
import pytest

from imgsearch.backends.faiss_rows import FaissRows
from imgsearch.errors import (
    BackendError,
    ConfigError,
    DimensionMismatch,
    FieldInvalid,
    VectorInvalid,
)


@pytest.fixture
def rows(tmp_path):
    return FaissRows.open(tmp_path / "größe/faiss", 2)


def reopened(rows):
    """Return the same folder's rows as another process reads them."""
    return FaissRows(rows._file.parent)


def test_nearest_rows_come_first_with_squared_distances(rows):
    assert rows.search([0, 0], 5) == []
    assert [rows.insert(vector, [name]) for vector, name in [([3, 4], "a"), ([1, 0], "猫")]] == [
        0,
        1,
    ]
    # 1² + 0² = 1, 3² + 4² = 25
    assert rows.search([0, 0], 5) == [[1, 1.0, ["猫"]], [0, 25.0, ["a"]]]
    assert rows.search(np.array([3.0, 4.0]), 1) == [[0, 0.0, ["a"]]]


def test_rows_are_read_back_and_seen_by_open_readers(rows):
    reader = reopened(rows)
    rows.insert([1, 2], ["a", 7, {"b": [1.5]}])
    assert reader.search([1, 2], 3) == [[0, 0.0, ["a", 7, {"b": [1.5]}]]]
    rows.insert([5, 6], [])
    assert [row[0] for row in reader.search([5, 6], 3)] == [1, 0]


def test_same_folder_is_the_same_object(rows, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert FaissRows.open("größe/faiss") is rows


def test_line_that_was_cut_off_is_skipped_and_replaced(rows):
    rows.insert([1, 2], ["a"])
    with rows._file.open("ab") as file:
        file.write(b'{"vector": "AAAA')
    other = reopened(rows)
    assert [row[2] for row in other.search([1, 2], 5)] == [["a"]]
    other.insert([3, 4], ["b"])
    assert [row[2] for row in reopened(rows).search([3, 4], 5)] == [["b"], ["a"]]


def test_deleted_file_is_an_empty_folder(rows):
    rows.insert([1, 2], ["a"])
    rows._file.unlink()
    assert rows.search([1, 2], 5) == []
    assert rows.insert([1, 2, 3], ["b"]) == 0


@pytest.mark.parametrize(
    "line", [b"{}", b"[]", b'{"vector": "%%", "values": []}', b"\xff", b"[" * 9999]
)
def test_damaged_line_is_named(rows, line):
    rows.insert([1, 2], ["a"])
    with rows._file.open("ab") as file:
        file.write(line + b"\n")
    with pytest.raises(BackendError, match="is damaged at byte [1-9]"):
        reopened(rows).search([1, 2], 5)


def test_invalid_rows_raise_and_write_nothing(rows):
    rows.insert([1, 2], ["a"])
    for error, vector, values in [
        (DimensionMismatch, [1, 2, 3], []), (VectorInvalid, [np.nan, 1], []),
        (VectorInvalid, [[1, 2], [3, 4]], []), (VectorInvalid, "x", []), (VectorInvalid, [], []),
        (FieldInvalid, [1, 2], [b"bytes"]), (FieldInvalid, [1, 2], [float("nan")]),
    ]:  # fmt: skip
        with pytest.raises(error):
            rows.insert(vector, values)
    assert len(reopened(rows).search([1, 2], 5)) == 1
    with pytest.raises(DimensionMismatch, match="3 numbers: the rows in .* have 2"):
        rows.search([1, 2, 3], 1)
    with pytest.raises(DimensionMismatch):
        FaissRows.open(rows._file.parent, 512)
    for k in (0, -1, 16_385):
        with pytest.raises(ConfigError, match="top_k must be in 1 to 16,384"):
            rows.search([1, 2], k)
    with pytest.raises(ConfigError, match="invalid folder"):
        FaissRows.open("a\0b")


def test_folder_that_is_a_file_is_an_error(tmp_path):
    (tmp_path / "x").write_text("")
    with pytest.raises(BackendError, match="cannot (read|write)"):
        FaissRows.open(tmp_path / "x").insert([1], [])
