"""Lists of images are read in all common encodings; other files are refused with a reason."""

from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from imgsearch.errors import SourceError
from imgsearch.images.image_lists import columns, file_in, rows, text

LINES = "path,label\r\n猫/1.jpg,Käfer\r\n"
WESTERN = "path,label\r\n1.jpg,Käfer\r\n"


def cells(file: Path) -> tuple[list[list[str]], list[str]]:
    notes: list[str] = []
    rows_read = [
        [text(cell or "") for cell in row.cells] for row in rows(file, [0, 1], on_note=notes.append)
    ]
    return rows_read, notes


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_utf8_is_read_without_a_note(tmp_path, encoding):
    file = tmp_path / "l.csv"
    file.write_bytes(LINES.encode(encoding))
    assert columns(file) == ["path", "label"]
    assert cells(file) == ([["猫/1.jpg", "Käfer"]], [])


@pytest.mark.parametrize(
    ("encoding", "name"),
    [
        ("utf-16", "UTF-16"),
        ("utf-16-le", "UTF-16-LE"),
        ("utf-16-be", "UTF-16-BE"),
        ("utf-32", "UTF-32"),
    ],
)
def test_utf16_and_utf32_are_read_and_noted(tmp_path, encoding, name):
    file = tmp_path / "l.csv"
    file.write_bytes(LINES.encode(encoding))
    assert columns(file) == ["path", "label"]
    assert cells(file) == ([["猫/1.jpg", "Käfer"]], [f"l.csv was read as {name}"])


def test_big_endian_mark_is_read(tmp_path):
    file = tmp_path / "l.csv"
    file.write_bytes(b"\xfe\xff" + LINES.encode("utf-16-be"))
    assert cells(file)[0] == [["猫/1.jpg", "Käfer"]]


def test_cp1252_is_read_cell_by_cell(tmp_path):
    file = tmp_path / "l.csv"
    file.write_bytes(WESTERN.encode("cp1252") + "2.jpg,Bär\r\n".encode())
    texts, notes = cells(file)
    assert texts == [["1.jpg", "Käfer"], ["2.jpg", "Bär"]]
    assert notes == ["l.csv is not UTF-8 throughout: other bytes were read as cp1252"]


def test_bytes_of_neither_encoding_are_rejected():
    with pytest.raises(SourceError, match=r"neither UTF-8 nor cp1252: b'\\x81'. Save the list"):
        text("\udc81")


def test_cell_names_the_file_of_its_bytes_before_its_text(tmp_path):
    cell = "caf\udce9.jpg"
    assert file_in(tmp_path, cell) == f"{tmp_path}/café.jpg"
    (tmp_path / cell).touch()
    assert file_in(tmp_path, cell) == f"{tmp_path}/{cell}"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"PK\x03\x04\x14\0\x06\0", "a spreadsheet or other zip file, not a csv"),
        (b"path\n" + b"a\0" + b"x" * 99, "not text: it has NUL bytes"),
        (LINES.encode("utf-16")[:-1], "not valid UTF-16"),
        (b"\0" * 64, "not text: it has NUL bytes"),
    ],
)
def test_other_files_are_rejected_as_lists(tmp_path, content, message):
    file = tmp_path / "l.csv"
    file.write_bytes(content)
    with pytest.raises(SourceError, match=message):
        list(rows(file, [0]))


def test_tsv_is_split_at_tabs(tmp_path):
    file = tmp_path / "l.tsv"
    file.write_text("path\tlabel\na, b.jpg\tcat\nc.jpg\n")
    assert [row.cells for row in rows(file, [0, 1])] == [["a, b.jpg", "cat"], ["c.jpg", None]]


def test_parquet_is_read_as_text_by_its_first_bytes(tmp_path):
    file = tmp_path / "l.anything"
    table = pa.table({"label": pa.array([7, None]), " path": ["a.jpg", "猫.jpg"]})
    parquet.write_table(table, file)
    assert columns(file) == ["label", "path"]
    texts = [(row.place, row.cells) for row in rows(file, [1, 0])]
    assert texts == [("row 1", ["a.jpg", "7"]), ("row 2", ["猫.jpg", ""])]


def test_parquet_without_texts_and_torn_parquet_are_rejected(tmp_path):
    file = tmp_path / "l.parquet"
    parquet.write_table(pa.table({"path": [[1], [2]]}), file)
    with pytest.raises(SourceError, match="not a parquet of texts"):
        list(rows(file, [0]))
    file.write_bytes(b"PAR1 and no more")
    with pytest.raises(SourceError, match="not a parquet"):
        columns(file)
