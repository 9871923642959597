"""Lists of images are read as programs and spreadsheets write them; others are refused."""

import json
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from imgsearch.errors import SourceError
from imgsearch.images.image_lists import ListColumns, file_in, open_list, text

LINES = "path,label\r\n猫/1.jpg,Käfer\r\n"
WESTERN = "path,label\r\n1.jpg,Käfer\r\n"


def listed(folder: Path, name: str, content: str | bytes, columns: ListColumns | None = None):
    """Write a list; return (path, label) of its images, relative to the folder, and the notes."""
    file = folder / name
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    notes: list[str] = []
    images = open_list(file, columns).images(folder, on_note=notes.append)
    return [(image.path.removeprefix(f"{folder}/"), image.label) for image in images], notes


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("comma.csv", "path,label\n1.jpg,Käfer\n"),
        ("excel in German.csv", "\ufeffDateiname;Klasse;Breite\r\n1.jpg;Käfer;0,5\r\n"),
        ("google sheets.csv", "File Name,Label\r\n1.jpg,Käfer"),
        ("semicolon.csv", "path;label\n1.jpg;Käfer\n"),
        ("sep.csv", "sep=;\r\npath;label\r\n1.jpg;Käfer\r\n"),
        ("sep of a tab.csv", "SEP=\t\r\npath\tlabel\r\n1.jpg\tKäfer\r\n"),
        ("sep quoted.csv", '\ufeff"sep=|"\npath|label\n1.jpg|Käfer\n'),
        ("sep unusual.csv", "sep=#\npath#label\n1.jpg#Käfer\n"),
        ("bar.csv", "path|label\n1.jpg|Käfer\n"),
        ("tab.csv", "path\tlabel\n1.jpg\tKäfer\n"),
        ("tab.tsv", "path\tlabel\n1.jpg\tKäfer\n"),
        ("comma.tsv", "path,label\n1.jpg,Käfer\n"),
        ("mac.csv", "path,label\r1.jpg,Käfer\r"),
        ("quoted.csv", '"path";"label"\n"1.jpg";"Käfer"\n'),
        ("blanks.csv", "path, label\n 1.jpg, Käfer\n"),
        ("blanks and quotes.csv", '"path", "label"\n"1.jpg", "Käfer"\n'),
        ("pandas with an index.csv", ",path,label\n0,1.jpg,Käfer\n"),
        ("R write.csv", '"","path","label"\n"1","1.jpg","Käfer"\n'),
        ("R write.csv2", '"";"path";"label";"x"\n"1";"1.jpg";"Käfer";0,5\n'),
        ("R write.table.csv", '"path","label"\n"1","1.jpg","Käfer"\n'),
        ("R write.table.txt", '"path" "label"\n"1" "1.jpg" "Käfer"\n'),
        ("trailing delimiters.csv", "path;label;;\n1.jpg;Käfer;;\n;;;\n"),
        ("blank lines first.csv", "\n;;\npath;label\n1.jpg;Käfer\n"),
        ("exiftool.csv", "SourceFile,Label\n1.jpg,Käfer\n"),
        ("capitals.csv", "PATH,LABEL\n1.jpg,Käfer\n"),
        ("two marks.csv", "\ufeff\ufeffpath,label\n1.jpg,Käfer\n"),
        ("other columns.csv", 'note,label,file_path\n"a, ""b""\nc",Käfer,1.jpg\n'),
        ("path wins.csv", "url,path,label\nhttps://a.example/1.jpg,1.jpg,Käfer\n"),
        ("backslash.csv", "path,label\n.\\1.jpg,Käfer\n"),
        ("utf-16.csv", "path,label\n1.jpg,Käfer\n".encode("utf-16")),
        ("Unicode text.txt", "path\tlabel\r\n1.jpg\tKäfer\r\n".encode("utf-16")),
        ("cp1252.csv", "path;label\r\n1.jpg;Käfer\r\n".encode("cp1252")),
        ("lines.jsonl", '{"file_name": "1.jpg", "label": "K\\u00e4fer"}\n\n'),
        ("array.json", '[{"path": "1.jpg", "class": "Käfer", "box": [1, 2]}]'),
        ("lines.json", '{"path": "1.jpg", "label": "Käfer"}\n{"path": ""}\n'),
    ],
)
def test_list_is_read_in_every_layout(tmp_path, name, content):
    (tmp_path / "1.jpg").touch()
    images, _ = listed(tmp_path, name, content)
    named = [image for image in images if image[0]]
    assert [(str(Path(path)), label) for path, label in named] == [("1.jpg", "Käfer")]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("one column.csv", 'path\n"a, b;c.jpg"\nd|e.jpg\n'),
        ("one column without quotes.csv", "path\na, b;c.jpg\nd|e.jpg\n"),
        ("paths.txt", "a, b;c.jpg\r\n\r\nd|e.jpg"),
        ("no header.csv", '"a, b;c.jpg"\nd|e.jpg\n'),
        ("strings.json", '["a, b;c.jpg", "d|e.jpg"]'),
    ],
)
def test_paths_alone_are_a_list(tmp_path, name, content):
    images, _ = listed(tmp_path, name, content)
    assert images == [("a, b;c.jpg", None), ("d|e.jpg", None)]


def test_named_columns_win(tmp_path):
    content = "path;Ablage;label;Art\na.jpg;b.jpg;cat;dog\n"
    columns = ListColumns("ablage", " art ")
    assert listed(tmp_path, "l.csv", content, columns)[0] == [("b.jpg", "dog")]
    with pytest.raises(SourceError, match="no column is called 'Ort', for the path. Its columns"):
        listed(tmp_path, "l.csv", content, ListColumns("Ort"))
    with pytest.raises(SourceError, match="2 columns are called 'PATH', for the path"):
        listed(tmp_path, "l.csv", "path,Path\n", ListColumns("PATH"))


def test_uncertain_labels_are_left_out_with_a_note(tmp_path):
    images, notes = listed(tmp_path, "l.csv", "path,class,category\na.jpg,cat,pet\n")
    assert images == [("a.jpg", None)]
    assert "'class', 'category' may all hold the labels" in notes[0]


def test_other_columns_are_read_on_request(tmp_path):
    file = tmp_path / "l.jsonl"
    rows = [{"path": "a.jpg", "year": 2019, "id": 7}, {"path": "b.jpg", "tags": ["x"]}]
    file.write_text("\n".join(map(json.dumps, rows)))
    opened = open_list(file)
    assert dict(opened.others) == {"year": 1, "tags": 3}
    images = list(opened.images(tmp_path, others=opened.others))
    assert [image.others for image in images] == [
        {"year": 2019, "tags": None},
        {"year": None, "tags": ["x"]},
    ]
    assert [image.id for image in images] == ["7", ""]
    assert [image.others for image in opened.images(tmp_path)] == [{}, {}]


def test_first_path_is_named_if_no_file_exists(tmp_path):
    content = "path\nC:\\Users\\Käthe\\1.jpg\n\\\\server\\share\\2.jpg\n"
    images, notes = listed(tmp_path, "l.csv", content)
    assert [path for path, _ in images] == ["C:\\Users\\Käthe\\1.jpg", "\\\\server\\share\\2.jpg"]
    assert notes == [
        "none of the 2 files in l.csv exists, the first is C:\\Users\\Käthe\\1.jpg. Relative "
        "paths begin at the folder of the list"
    ]


def test_urls_are_left_alone_and_file_urls_are_paths(tmp_path):
    (tmp_path / "ä 1.jpg").touch()
    url = (tmp_path / "ä 1.jpg").as_uri()
    content = f"url\n https://example.org/a\\b.jpg?x=1&y=2\n{url}\n"
    images, notes = listed(tmp_path, "l.csv", content)
    assert [path for path, _ in images] == ["https://example.org/a\\b.jpg?x=1&y=2", "ä 1.jpg"]
    assert notes == []


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_utf8_is_read_without_a_note(tmp_path, encoding):
    (tmp_path / "猫").mkdir()
    (tmp_path / "猫/1.jpg").touch()
    images, notes = listed(tmp_path, "l.csv", LINES.encode(encoding))
    assert images == [("猫/1.jpg", "Käfer")]
    assert notes == []


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
    images, notes = listed(tmp_path, "l.csv", LINES.encode(encoding))
    assert images == [("猫/1.jpg", "Käfer")]
    assert notes[0] == f"l.csv was read as {name}"


def test_big_endian_mark_is_read(tmp_path):
    content = b"\xfe\xff" + LINES.encode("utf-16-be")
    assert listed(tmp_path, "l.csv", content)[0] == [("猫/1.jpg", "Käfer")]


def test_cp1252_is_read_cell_by_cell(tmp_path):
    content = WESTERN.encode("cp1252") + "2.jpg,Bär\r\n".encode()
    images, notes = listed(tmp_path, "l.csv", content)
    assert images == [("1.jpg", "Käfer"), ("2.jpg", "Bär")]
    assert notes[0] == "l.csv is not UTF-8 throughout: other bytes were read as cp1252"


def test_bytes_of_neither_encoding_are_rejected():
    with pytest.raises(SourceError, match=r"neither UTF-8 nor cp1252: b'\\x81'. Save the list"):
        text("\udc81")


@pytest.mark.parametrize(
    ("cell", "expected"),
    [(None, ""), (3, "3"), (3.0, "3"), (0.5, "0.5"), (float("nan"), ""), (True, "True")],
)
def test_cells_of_other_types_become_text(cell, expected):
    assert text(cell) == expected


def test_cell_names_the_file_of_its_bytes_before_its_text(tmp_path):
    cell = "caf\udce9.jpg"
    assert file_in(tmp_path, cell) == f"{tmp_path}/café.jpg"
    (tmp_path / cell).touch()
    assert file_in(tmp_path, cell) == f"{tmp_path}/{cell}"


@pytest.mark.parametrize(
    ("cell", "name"),
    [("cafe\u0301.jpg", "caf\u00e9.jpg"), (" a.jpg ", "a.jpg"), ("b\\c.jpg", "b/c.jpg")],
)
def test_cell_names_the_file_in_another_spelling(tmp_path, cell, name):
    (tmp_path / "b").mkdir()
    (tmp_path / name).touch()
    assert file_in(tmp_path, cell) == f"{tmp_path}/{name}"
    (tmp_path / cell).touch()
    assert file_in(tmp_path, cell) == f"{tmp_path}/{cell}"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("l.csv", b"PK\x03\x04\x14\0\x06\0", "a spreadsheet or other zip file, not a csv"),
        ("l.csv", b"path\n" + b"a\0" + b"x" * 99, "not text: it has NUL bytes"),
        ("l.csv", LINES.encode("utf-16")[:-1], "not valid UTF-16"),
        ("l.csv", b"\0" * 64, "not text: it has NUL bytes"),
        ("l.jsonl", b'{"path": 1', "line 1 is not JSON: "),
        ("l.jsonl", b"[" * 99_999, "line 1 is not JSON: .* nested too deeply"),
        ("l.jsonl", b"3\n", "line 1 is neither an object with a path nor a path"),
        ("l.jsonl", b'{"path": ["a"]}\n', "a cell holds a list, not a text"),
        ("l.json", b'{"path":\n {"0": "a.jpg"}}', "a JSON object, not an array"),
    ],
)
def test_other_files_are_rejected_as_lists(tmp_path, name, content, message):
    with pytest.raises(SourceError, match=message):
        listed(tmp_path, name, content)


def test_short_row_has_no_label_and_long_row_is_noticed(tmp_path):
    file = tmp_path / "l.tsv"
    file.write_text("path\tlabel\na, b.jpg\tcat\tx\nc.jpg\nd.jpg\tdog\t\n")
    rows = list(open_list(file).rows([0, 1]))
    assert [row.cells for row in rows] == [["a, b.jpg", "cat"], ["c.jpg", None], ["d.jpg", "dog"]]
    assert [row.extra for row in rows] == [True, False, False]


def test_parquet_is_read_by_its_first_bytes(tmp_path):
    file = tmp_path / "l.anything"
    table = pa.table({"label": pa.array([7, None]), " Path": ["a.jpg", "猫.jpg"]})
    parquet.write_table(table, file)
    opened = open_list(file)
    assert opened.columns == ("label", "Path")
    images = [(image.place, image.path, image.label) for image in opened.images(Path("x"))]
    assert images == [("row 1", "x/a.jpg", "7"), ("row 2", "x/猫.jpg", "")]


def test_columns_of_a_parquet_that_hold_no_texts_are_no_paths(tmp_path):
    file = tmp_path / "l.parquet"
    columns = {"image": [b"\xff\xd8"], "file": ["a.jpg"], "__index_level_0__": [0]}
    parquet.write_table(pa.table(columns), file)
    assert [image.path for image in open_list(file).images(Path())] == ["a.jpg"]
    assert list(open_list(file).others) == ["image"]
    parquet.write_table(pa.table({"path": [[1], [2]]}), file)
    with pytest.raises(SourceError, match='no column "path". Its columns are: path'):
        open_list(file)
    file.write_bytes(b"PAR1 and no more")
    with pytest.raises(SourceError, match="not a parquet"):
        open_list(file)
