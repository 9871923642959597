"""Datasets in all their forms, valid and invalid."""

import hashlib
import os
import shutil
import unicodedata
from pathlib import Path

import pyarrow as pa
import pytest
from PIL import Image
from pyarrow import parquet

from imgsearch.datasets.dataset import load
from imgsearch.errors import DatasetError
from tests.unprivileged import unprivileged

SUBSET = Path(__file__).parents[3] / "shared" / "data" / "imagenet-subset"


@pytest.fixture
def draw(tmp_path: Path):
    """Write an image of one color to each path under the test's folder."""
    drawn = 0

    def at(*names: str) -> Path:
        nonlocal drawn
        for name in names:
            drawn += 1
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (8, 8), (drawn * 7 % 256, drawn % 256, 90)).save(path)
        return tmp_path

    return at


def write_csv(folder: Path, text: str, *, encoding: str = "utf-8") -> Path:
    file = folder / "images.csv"
    file.write_bytes(text.encode(encoding))
    return file


def write_parquet(folder: Path, columns) -> Path:
    file = folder / "images.parquet"
    parquet.write_table(pa.table(columns), file)
    return file


def labels(items) -> list[tuple[str, str]]:
    return [(item.path.name, item.label) for item in items]


@pytest.mark.parametrize(("gallery", "query"), [("train", "test"), ("gallery", "query")])
def test_two_halves_are_held_out_queries(draw, gallery: str, query: str):
    root = draw(f"{gallery}/猫/a.png", f"{gallery}/狗/b.JPEG", f"{query}/猫/c.webp")
    dataset = load(root)
    assert dataset.held_out
    assert labels(dataset.gallery) == [("b.JPEG", "狗"), ("a.png", "猫")]
    assert labels(dataset.queries) == [("c.webp", "猫")]
    assert dataset.notes == ("gallery classes without a query: 1 (狗)",)


def test_labeled_folder_is_leave_one_out(draw):
    dataset = load(draw("cat/1.png", "cat/2.png", "dog/1.png", "dog/2.png"))
    assert not dataset.held_out
    assert dataset.queries == dataset.gallery
    assert len(dataset.gallery) == 4
    assert dataset.notes == ()


def test_classes_called_train_and_test_are_classes_beside_others(draw):
    dataset = load(draw("train/1.png", "train/2.png", "test/1.png", "tram/1.png", "tram/2.png"))
    assert not dataset.held_out
    assert {item.label for item in dataset.gallery} == {"train", "test", "tram"}


def test_halves_without_class_folders_are_rejected(draw):
    with pytest.raises(DatasetError, match="no class folder"):
        load(draw("train/1.png", "train/2.png", "test/1.png"))


@pytest.mark.parametrize("start", ["", "\ufeff"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_csv_is_read_with_bom_crlf_and_dot_paths(draw, start: str, end: str):
    root = draw("fotos/gato, uno.png", "fotos/b.png", "c.png")
    rows = [
        "path,label,id",  # a required column comes first, after the BOM
        '"./fotos/gato, uno.png",niño,0',
        "fotos/b.png,niño,1",
        f"{root / 'c.png'},ñandú,2",
    ]
    dataset = load(write_csv(root, start + end.join(rows) + end))
    assert not dataset.held_out
    assert labels(dataset.gallery) == [
        ("gato, uno.png", "niño"),
        ("b.png", "niño"),
        ("c.png", "ñandú"),
    ]
    assert all(item.path.is_file() for item in dataset.gallery)
    assert dataset.notes == ("classes with queries but no relevant image: 1 (ñandú)",)


def test_row_that_repeats_another_counts_once(draw):
    root = draw("a.png", "b.png")
    dataset = load(write_csv(root, "path,label\na.png,x\n./a.png,x\nb.png,x\n"))
    assert len(dataset.gallery) == 2
    assert "rows that repeat another row, counted once: 1" in dataset.notes


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,path\n0,a.png\n", "lacks the column label. Its columns are: id, path"),
        ("id;ort;label\n0;a.png;x\n", "no column .path.. Its columns are: id, ort, label"),
        ("", "It has no header"),
        ("id,path,label\n", "has 0 gallery image"),
        ("id,path,label\n0,a.png\n", "line 2: fill all 3 cells"),
        ("id,path,label\n0,a.png,\n", "line 2: fill all 3 cells"),
        ("id,path,label\n0,a.png,x,y\n", "line 2: fill all 3 cells"),
        ('id,path,label\n0,"a.png,x\n', "is not a list of images: unexpected end"),
        ("id,path,label\n0,a.png,x\n1,nö.png,x\n", "1 of 2 files of images.csv are missing, first"),
        ("id,path,label\n0,a.png,x\n1,./a.png,y\n", "line 3: ./a.png is 'x' on one line and 'y'"),
        ("id,path,label\n0,a.png,x\n1,b.png,X\n", "'x' and 'X' differ only by case"),
        ("id,path,label\n0,a.png,x\x07\n1,b.png,x\n", "control characters"),
        ("id,path,label\n0,a\0.png,x\n1,b.png,x\n", "not text: it has NUL bytes"),
        ("id,path,label\n0,a.png,x\n", "has 1 gallery image"),
        ("id,path,label\n0,a.png,x\n1,b.png,y\n", "finds nothing"),
    ],
)
def test_invalid_csv_is_rejected_with_the_reason(draw, text: str, message: str):
    root = draw("a.png", "b.png")
    with pytest.raises(DatasetError, match=message):
        load(write_csv(root, text))


def test_columns_have_aliases_and_others_are_ignored(draw):
    root = draw("a.png", "b.png")
    file = write_csv(root, "Datei,Klasse,label\na.png,niño,1\n\nb.png, niño ,2\n")
    dataset = load(file, path_column="datei", label_column="klasse")
    assert labels(dataset.gallery) == [("a.png", "niño"), ("b.png", "niño")]


def test_duplicate_column_is_rejected(draw):
    root = draw("a.png", "b.png")
    with pytest.raises(DatasetError, match="'label', 'Label' may all hold the labels"):
        load(write_csv(root, "path,label,Label\na.png,x,y\nb.png,x,y\n"))


def test_parquet_is_the_same_dataset_as_a_csv(draw):
    root = draw("a.png", "b.png")
    file = write_parquet(root, {"id": [1, 2], "Path": ["a.png", "b.png"], "label": ["ñ", "ñ"]})
    assert load(file).gallery == load(write_csv(root, "path,label\na.png,ñ\nb.png,ñ\n")).gallery


def test_labels_of_a_parquet_may_be_numbers_or_categories(draw):
    root = draw("a.png", "b.png")
    numbers = load(write_parquet(root, {"path": ["a.png", "b.png"], "label": [7, 7]}))
    assert {item.label for item in numbers.gallery} == {"7"}
    coded = pa.array(["x", "x"]).dictionary_encode()
    named = load(write_parquet(root, {"path": ["a.png", "b.png"], "label": coded}))
    assert {item.label for item in named.gallery} == {"x"}


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"path": ["a.png", "b.png"]}, "lacks the column label. Its columns are: path"),
        ({"path": ["a.png", None], "label": ["x", "x"]}, "row 2: fill all 2 cells$"),
        ({"path": ["a.png", "b.png"], "label": [" ", "x"]}, "row 1: fill all 2 cells$"),
        ({"path": ["a.png", "b.png"], "label": [["x"], ["x"]]}, "lacks the column label"),
    ],
)
def test_invalid_parquet_is_rejected_with_the_reason(draw, columns, message):
    root = draw("a.png", "b.png")
    with pytest.raises(DatasetError, match=message):
        load(write_parquet(root, columns))


def test_torn_parquet_is_rejected(draw):
    file = write_parquet(draw("a.png", "b.png"), {"path": ["a.png"], "label": ["x"]})
    file.write_bytes(file.read_bytes()[:-10])
    with pytest.raises(DatasetError, match="not a parquet"):
        load(file)


@pytest.mark.parametrize(
    ("encoding", "note"),
    [
        ("cp1252", "images.csv is not UTF-8 throughout: other bytes were read as cp1252"),
        ("utf-16", "images.csv was read as UTF-16"),
    ],
)
def test_csv_in_another_encoding_is_read_and_noted(draw, encoding, note):
    root = draw("ä.png", "b.png")
    dataset = load(write_csv(root, "path,label\nä.png,niño\nb.png,niño\n", encoding=encoding))
    assert labels(dataset.gallery) == [("ä.png", "niño"), ("b.png", "niño")]
    assert note in dataset.notes


def test_tsv_is_the_same_dataset_as_a_csv(draw):
    root = draw("a, 1.png", "b.png")
    (root / "images.tsv").write_text("path\tlabel\na, 1.png\tx\nb.png\tx\n")
    assert labels(load(root / "images.tsv").gallery) == [("a, 1.png", "x"), ("b.png", "x")]


@pytest.mark.parametrize("name", ["val", "valid", "Validation"])
def test_train_and_val_are_held_out_queries(draw, name):
    dataset = load(draw("train/cat/1.png", "train/dog/1.png", f"{name}/cat/2.png"))
    assert dataset.held_out
    assert labels(dataset.queries) == [("2.png", "cat")]


def test_labeled_split_of_three_has_the_queries(draw):
    names = ["train/cat/1.png", "train/cat/2.png", "test/cat/3.png", "val/cat/4.png"]
    dataset = load(draw(*names))
    assert labels(dataset.queries) == [("3.png", "cat")]
    assert "unused folders beside the two splits: 1 (val)" in dataset.notes
    (dataset.root / "test/cat/3.png").rename(dataset.root / "test/3.png")
    (dataset.root / "test/cat").rmdir()
    assert labels(load(dataset.root).queries) == [("4.png", "cat")]


def test_empty_class_is_noted_and_the_rest_evaluated(draw):
    root = draw("cat/1.png", "cat/2.png", "dog/1.png", "dog/2.png")
    (root / "пусто").mkdir()
    dataset = load(root)
    assert len(dataset.gallery) == 4
    assert dataset.notes == (f"class folders without an image: 1 ({root.name}/пусто)",)


def test_other_files_are_counted_except_hidden_ones(draw):
    root = draw("cat/1.png", "cat/2.png", "dog/1.png", "dog/2.png", "stray.png", ".old/1.png")
    (root / "README.md").write_text("about this set")
    (root / "cat" / "labels.txt").write_text("cat")
    (root / "cat" / ".DS_Store").write_bytes(b"\0")
    (root / "dog" / "more.png").mkdir()  # a folder named like an image
    (root / "dog" / "gone.png").symlink_to(root / "nowhere.png")
    dataset = load(root)
    assert len(dataset.gallery) == 4
    assert dataset.notes == (
        "entries other than images in class folders: 4 "
        "(cat/labels.txt, dog/gone.png, dog/more.png, stray.png)",
    )


def test_image_without_a_suffix_is_recognized_by_its_first_bytes(draw):
    root = draw("cat/1.png", "cat/2.png", "cat/3.png")
    (root / "cat" / "3.png").rename(root / "cat" / "третий")
    assert [item.path.name for item in load(root).gallery] == ["1.png", "2.png", "третий"]


def test_long_list_is_truncated(draw):
    root = draw("cat/1.png", "cat/2.png")
    for name in range(8):
        (root / f"empty{name}").mkdir()
    assert "without an image: 8 (" in load(root).notes[0]
    assert load(root).notes[0].endswith("and 3 more)")


def test_pipe_among_the_images_is_skipped(draw):
    root = draw("cat/1.png", "cat/2.png")
    os.mkfifo(root / "cat" / "endless.png")
    assert len(load(root).gallery) == 2


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("cat", "Cat"),
        ("straße", "STRASSE"),
        ("cat", "cat "),
        ("niño", unicodedata.normalize("NFD", "NIÑO")),
    ],
)
def test_labels_that_differ_only_by_case_are_rejected_and_named(draw, one: str, other: str):
    root = draw(f"train/{one}/1.png", f"train/{one}/2.png", f"test/{other}/1.png")
    with pytest.raises(DatasetError, match="differ only by case") as caught:
        load(root)
    assert repr(one) in str(caught.value)


def test_composed_and_decomposed_names_are_one_label(draw):
    decomposed = unicodedata.normalize("NFD", "perezoso é")
    dataset = load(draw("train/perezoso é/1.png", "train/x/2.png", f"test/{decomposed}/3.png"))
    assert dataset.queries[0].label == "perezoso é"
    assert dataset.queries[0].label in {item.label for item in dataset.gallery}


def test_folder_name_that_is_not_utf8_is_rejected(draw):
    root = draw("cat/1.png", "cat/2.png")
    try:
        (root / os.fsdecode(b"caf\xe9")).mkdir()
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    with pytest.raises(DatasetError, match="not UTF-8"):
        load(root)


def test_single_class_is_noted(draw):
    assert "only one class" in load(draw("cat/1.png", "cat/2.png")).notes[0]


def test_class_of_one_image_has_no_query(draw):
    notes = load(draw("cat/1.png", "cat/2.png", "狐/1.png")).notes
    assert notes == ("classes with queries but no relevant image: 1 (狐)",)


def test_single_image_is_rejected(draw):
    with pytest.raises(DatasetError, match="has 1 gallery image"):
        load(draw("cat/1.png"))


def test_queries_of_other_classes_than_the_gallery_are_rejected(draw):
    with pytest.raises(DatasetError, match="finds nothing"):
        load(draw("train/a/1.png", "train/a/2.png", "test/b/1.png"))


@pytest.mark.parametrize("names", [[], ["notes.txt"], ["empty/"], ["empty/notes.txt"]])
def test_folder_without_labeled_images_is_rejected(tmp_path: Path, names: list[str]):
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        if name.endswith("/"):
            (tmp_path / name).mkdir()
        else:
            (tmp_path / name).write_text("no image")
    with pytest.raises(DatasetError, match="no class folder with an image"):
        load(tmp_path)


@pytest.mark.parametrize("name", ["nowhere", "a\0b", "~no such user/photos", "x" * 5_000])
def test_invalid_path_is_rejected(tmp_path: Path, name: str):
    with pytest.raises(DatasetError):
        load(name if name.startswith("~") else f"{tmp_path}/{name}")


def test_unreadable_folder_is_rejected(draw):
    with unprivileged(draw("cat/1.png", "cat/2.png")) as root:
        (root / "cat").chmod(0)
        with pytest.raises(DatasetError, match="cannot be read"):
            load(root)
        (root / "cat").chmod(0o755)


def test_manifest_hash_matches_its_definition(draw):
    root = draw("train/猫/1.png", "train/x/2.png", "test/猫/3.png")
    files = {name: hashlib.sha256((root / name).read_bytes()).hexdigest() for name in (
        "train/猫/1.png", "train/x/2.png", "test/猫/3.png"
    )}  # fmt: skip
    lines = [
        f'["gallery", "\\u732b", "{files["train/猫/1.png"]}"]\n',
        f'["gallery", "x", "{files["train/x/2.png"]}"]\n',
        f'["query", "\\u732b", "{files["test/猫/3.png"]}"]\n',
    ]
    assert load(root).manifest_hash == hashlib.sha256("".join(lines).encode()).hexdigest()


def test_manifest_hash_follows_content_and_labels_but_not_paths(draw, tmp_path: Path):
    root = draw("set/cat/1.png", "set/cat/2.png", "set/dog/1.png", "set/dog/2.png") / "set"
    before = load(root).manifest_hash
    moved = tmp_path / "elsewhere"
    shutil.copytree(root, moved)
    (moved / "cat" / "1.png").rename(moved / "cat" / "another name.png")
    assert load(moved).manifest_hash == before
    listed = "".join(f"{file},{file.parent.name}\n" for file in root.glob("*/*.png"))
    assert load(write_csv(tmp_path, "path,label\n" + listed)).manifest_hash == before

    (moved / "dog").rename(moved / "wolf")
    relabelled = load(moved).manifest_hash
    (root / "dog" / "1.png").write_bytes(b"other bytes")
    assert len({before, relabelled, load(root).manifest_hash}) == 3


def test_missing_file_stops_the_manifest_hash(draw):
    root = draw("cat/1.png", "cat/2.png")
    dataset = load(root)
    (root / "cat" / "2.png").unlink()
    with pytest.raises(DatasetError, match=r"2\.png cannot be read"):
        _ = dataset.manifest_hash


def test_real_subset_is_read_in_all_three_shapes():
    if not SUBSET.is_dir():
        pytest.skip(f"{SUBSET.name} is not beside this checkout")
    held_out = load(SUBSET)
    assert (len(held_out.gallery), len(held_out.queries), held_out.notes) == (1000, 100, ())
    folder, listed = load(SUBSET / "train"), load(SUBSET / "reverse_image_search.csv")
    assert not folder.held_out
    assert folder.manifest_hash == listed.manifest_hash != held_out.manifest_hash
