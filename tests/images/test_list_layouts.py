"""Lists as img2dataset, LAION and Hugging Face write them, or with control characters."""

import json

import pyarrow as pa
import pytest
from pyarrow import parquet

import imgsearch
from imgsearch.images.files import content_id
from imgsearch.images.inputs import references
from imgsearch.images.reading import Reading
from tests.pictures import write


def read(file, **types):
    return list(references(file, Reading(types=types)))


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".jsonl"])
@pytest.mark.parametrize(
    ("columns", "caption"),
    [
        (("url", "caption", "key", "status", "error_message", "width", "sha256"), "caption"),
        (("SAMPLE_ID", "URL", "TEXT", "HEIGHT", "WIDTH", "LICENSE", "NSFW"), "TEXT"),
    ],
)
def test_lists_of_img2dataset_and_laion_name_urls_and_captions(tmp_path, columns, caption, suffix):
    urls = ["https://example.org/katze.jpg", "https://example.org/größe?id=1"]
    rows = [
        {name: url if name.lower() == "url" else f"{name} {n}" for name in columns}
        for n, url in enumerate(urls)
    ]
    file = tmp_path / f"list{suffix}"
    if suffix == ".parquet":
        parquet.write_table(pa.Table.from_pylist(rows), file)
    elif suffix == ".csv":
        lines = [",".join(columns), *(",".join(row.values()) for row in rows)]
        file.write_text("\n".join(lines), encoding="utf-8")
    else:
        file.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    images = read(file, **{caption: "str"})
    assert [image.path for image in images] == urls
    assert [image.label for image in images] == [None, None]
    assert [image.fields for image in images] == [{caption: f"{caption} {n}"} for n in range(2)]


def test_images_of_a_hugging_face_column_have_labels_and_paths(tmp_path):
    photos = [file.read_bytes() for file in write(tmp_path, 2)]
    images = [{"bytes": photos[0], "path": "größe.png"}, {"bytes": photos[1], "path": None}]
    parquet.write_table(pa.table({"image": images, "label": [3, 4]}), tmp_path / "0.parquet")
    with imgsearch.open("memory://hugging", model="classic") as library:
        assert library.add(tmp_path / "0.parquet").added == 2
        rows = library.collection.get([content_id(photo) for photo in photos])
    references = [(row.fields["path"], row.fields["label"]) for row in rows.values()]
    assert references == [("größe.png", "3"), ("", "4")]


# a label cannot have a NUL, so that row fails, too
@pytest.mark.parametrize(
    ("letter", "added"), [("\x1b", 1), ("\x07", 1), ("\u202e", 1), ("\r", 1), ("\x00", 0)]
)
def test_control_characters_in_a_list_do_not_stop_a_load(tmp_path, letter, added):
    (photo,) = write(tmp_path / "fotos", 1)
    file = tmp_path / "list.jsonl"
    rows = [{"path": f"a{letter}[31m.png"}, {"path": str(photo), "label": f"k{letter}tze"}]
    file.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    with imgsearch.open(f"memory://control-{ord(letter)}", model="classic") as library:
        report = library.add(file)
    assert (report.added, report.failed) == (added, 2 - added)
