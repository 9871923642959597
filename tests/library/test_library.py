"""Libraries of images: add, search, remove, and resume after interruptions."""

import contextlib
import os
import shutil
import subprocess
import sys
import textwrap
import unicodedata
import uuid
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from pyarrow import parquet

import imgsearch
from imgsearch.backends import connect
from imgsearch.errors import (
    CollectionNotFound,
    ConfigError,
    EncoderMismatch,
    ImageTooLarge,
    SchemaMismatch,
    SourceError,
    TextUnsupported,
    WeightsNotFound,
)
from tests.pictures import picture, write


@pytest.fixture
def library():
    with imgsearch.open(f"memory://{uuid.uuid4().hex}", model="classic") as opened:
        yield opened


@pytest.fixture
def folder(tmp_path):
    write(tmp_path / "猫", 5)
    write(tmp_path / "hund", 5, start=5)
    return tmp_path


def test_add_then_search_by_path_bytes_pixels_and_vector(library, folder):
    report = library.add(folder)
    assert (report.added, report.skipped, report.failed, library.count()) == (10, 0, 0, 10)
    file = folder / "猫" / "bild-ü 0003.png"
    vector = library.encode(file)
    for query in (str(file), file, file.read_bytes(), picture(3), vector):
        best = library.search(query, k=3)[0]
        assert best.fields == {"path": str(file), "label": "猫"}
        assert best.score == pytest.approx(1, abs=1e-5)


def test_first_add_names_the_encoder_and_a_stronger_one(folder, tmp_path):
    with imgsearch.open(f"memory://{uuid.uuid4().hex}") as library:
        empty = tmp_path / "leer"
        empty.mkdir()
        assert library.add(empty).notes == ()  # the collection does not exist yet
        (line,) = library.add(folder).notes
        assert line.startswith("Encoder: lite (precision@10 0.87 on 100 classes of ImageNet")
        assert "imgsearch models pull clip_vit_base_patch32" in line
        assert library.add(folder).notes == ()
    with imgsearch.open(f"memory://{uuid.uuid4().hex}", model="classic") as library:
        assert library.add(folder).notes == ()


def test_adding_twice_adds_nothing_and_builds_no_encoder(folder, monkeypatch):
    def refuse(*args, **config):
        raise AssertionError("an encoder was asked for")

    url = f"memory://{uuid.uuid4().hex}"
    options = {"model": "classic"}
    with imgsearch.open(url, **options) as first, imgsearch.open(url, **options) as second:
        first.add(folder)
        monkeypatch.setattr("imgsearch.encoders.load", refuse)
        report = second.add(folder)
        assert (report.added, report.skipped, second.count()) == (0, 10, 10)
        with pytest.raises(AssertionError, match="an encoder was asked for"):
            second.search(picture(1))


def test_add_creates_a_collection_again_that_another_program_dropped(library, folder):
    library.add(folder)
    records = list(library.collection.iterate())
    with connect(library.url) as store:
        store.drop(library.name)
        with pytest.raises(CollectionNotFound, match="another program dropped it. Add the images"):
            library.search(picture(1))
        assert library.add(folder).added == 10
        store.drop(library.name)
    library.insert(records[:3])
    assert library.count() == 3


def test_same_content_under_two_names_is_one_image(library, tmp_path):
    for name in ("a.png", "b.png"):
        Image.fromarray(picture(1)).save(tmp_path / name)
    report = library.add(tmp_path)
    assert (report.added, report.skipped, library.count()) == (1, 1, 1)


@pytest.mark.parametrize("limit", [0, -1, 1.5, True, "9", None])
def test_open_refuses_an_invalid_pixel_limit(limit):
    with pytest.raises(ConfigError, match=r"max_pixels must be a whole number .* not "):
        imgsearch.open("memory://limits", max_pixels=limit)


def test_max_pixels_limits_added_and_query_images(library, tmp_path):
    (file,) = write(tmp_path, 1)  # 64 x 48 = 3,072 pixels
    with imgsearch.open(library.url, model="classic", max_pixels=3_071) as narrow:
        (failed,) = narrow.add(file).failures
        assert failed.error == "ImageTooLarge"
        library.add(file)
        for query in (file, file.read_bytes()):
            with pytest.raises(ImageTooLarge, match="64 x 48 pixels, at most 3,071"):
                narrow.search(query)
    with imgsearch.open(library.url, max_pixels=3_072) as wide:
        assert wide.search(file)[0].fields["path"] == str(file)


def test_max_pixels_counts_a_jpeg_at_the_scale_the_encoder_needs(tmp_path):
    file = tmp_path / "groß.jpg"
    Image.fromarray(picture(1, (2_560, 2_560))).save(file)  # lite needs 1,024: half the edge length
    with imgsearch.open("memory://scaled", max_pixels=2_560 * 2_560 // 4) as library:
        assert library.add(file).added == 1
        assert library.search(file)[0].score == pytest.approx(1, abs=1e-5)


def test_unreadable_files_are_listed_in_the_report(library, folder):
    (folder / "leer.jpg").write_bytes(b"")
    (folder / "halb.png").write_bytes((folder / "猫/bild-ü 0000.png").read_bytes()[:150])
    (folder / "notes.txt").write_text("not an image")
    failures = []
    report = library.add(folder, on_failure=failures.append)
    assert (report.added, report.failed, report.ignored) == (10, 2, 1)
    assert {Path(line.path).name for line in report.failures} == {"leer.jpg", "halb.png"}
    assert failures == list(report.failures)
    assert all(line.stage and line.error and line.reason for line in failures)


def test_progress_is_reported_to_the_end(library, folder):
    reports = []
    library.add(folder, on_progress=reports.append)
    assert (reports[0].done, reports[-1].done, reports[-1].found) == (0, 10, 10)


def test_progress_ends_complete_if_sources_hold_other_files(library, folder):
    (folder / "notes.txt").write_text("not an image")
    (folder / ".hidden").write_text("neither")
    updates = []
    report = library.add(iter([folder, folder / "gone.jpg"]), folder, on_progress=updates.append)
    assert (report.added, report.skipped, report.failed, report.ignored) == (10, 10, 1, 4)
    assert updates[-1].done == updates[-1].found == 25


def test_search_applies_filter_min_score_and_k(library, folder):
    library.add(folder)
    hund = imgsearch.Field("label") == "hund"
    hits = library.search(picture(0), k=20, where=hund)
    assert len(hits) == 5
    assert all(hit.fields["label"] == "hund" for hit in hits)
    assert len(library.search(picture(0), min_score=0.9999)) == 1
    with pytest.raises(ConfigError, match="k must be"):
        library.search(picture(0), k=0)


def test_remove_by_id_and_by_path(library, folder):
    library.add(folder)
    best, second = library.search(picture(0), k=2)
    assert library.remove(best.id, second.fields["path"], "/no/such.png") == 2
    assert library.count() == 8
    assert Path(best.fields["path"]).exists()


def test_search_before_add_raises(library):
    with pytest.raises(CollectionNotFound, match="add some images first"):
        library.search(picture(0))


def test_text_query_raises_for_an_encoder_without_texts(folder, tmp_path):
    with imgsearch.open(f"memory://{tmp_path.name}", model="classic") as library:
        library.add(folder)
        with pytest.raises(
            TextUnsupported, match="a white dog.*'classic' takes images only.*clip_vit_b32"
        ):
            library.search("a white dog")


def test_missing_source_raises_and_missing_list_entry_is_reported(library, folder):
    with pytest.raises(SourceError, match="nowhere"):
        library.add(folder / "nowhere")
    files = [folder / "猫/bild-ü 0000.png", folder / "猫/weg.png"]
    assert library.add(files).failed == 1


def test_existing_library_remembers_its_encoder_index_and_metric(tmp_path, folder):
    url = str(tmp_path / "x.db")
    with imgsearch.open(url, model="classic", index="ivf_flat:nlist=4", metric="l2") as library:
        library.add(folder)
    with imgsearch.open(url) as again:
        assert (again.recipe.model, again.count()) == ("classic", 10)
        assert again.search(picture(2), k=1)[0].score == pytest.approx(1, abs=1e-4)
    with pytest.raises(SchemaMismatch, match="metric"):
        imgsearch.open(url, metric="cosine")
    with pytest.raises(SchemaMismatch, match="index"):
        imgsearch.open(url, index="hnsw")
    with pytest.raises(EncoderMismatch, match="another collection"):
        imgsearch.open(url, model="timm:resnet18")


def test_weights_without_a_model_are_rejected():
    with pytest.raises(ConfigError, match="name the model"):
        imgsearch.open("memory://x", weights="x.safetensors")


@pytest.mark.long
def test_close_is_idempotent_and_unlocks_the_file(tmp_path, folder):
    url = str(tmp_path / "x.db")
    library = imgsearch.open(url, model="classic")
    library.add(folder)
    library.close()
    library.close()
    script = f"import imgsearch; print(imgsearch.open({url!r}).count())"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.strip() == "10", done.stderr


@pytest.mark.long
def test_store_open_in_another_process_is_waited_for(tmp_path, folder):
    url = str(tmp_path / "größe.db")
    script = f"""if True:
        import imgsearch
        try:
            imgsearch.open({url!r}, wait=0)
        except imgsearch.errors.StoreLocked:
            print("locked", flush=True)
        print(imgsearch.open({url!r}).count())
    """
    with imgsearch.open(url, model="classic") as library:
        library.add(folder)
        command = [sys.executable, "-c", script]
        other = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert other.stdout.readline() == "locked\n"
        waiting = other.stderr.readline()
    assert "is open in another process; waiting up to 60 s" in waiting
    assert other.communicate(timeout=60)[0] == "10\n"


@pytest.mark.parametrize("wait", [-1, float("nan"), float("inf"), "soon"])
def test_invalid_wait_raises(wait):
    with pytest.raises(ConfigError, match="wait must be a number of seconds"):
        imgsearch.open("memory://", wait=wait)


@pytest.mark.process
def test_load_killed_at_any_moment_resumes_without_duplicates(tmp_path):
    """Kills the process at ten moments of a load, then loads to the end.

    Each load is a process of its own: forks of one that has imported everything hung now and then.
    """
    write(tmp_path / "many", 200)
    script = textwrap.dedent(f"""
        import imgsearch
        with imgsearch.open({str(tmp_path / "x.db")!r}, model="classic") as library:
            print("open", flush=True)
            library.add({str(tmp_path / "many")!r})
            print(library.count(), flush=True)
    """)
    command = [sys.executable, "-c", script]
    for moment in np.random.default_rng(7).uniform(0, 0.6, 10):
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout.readline() == "open\n"
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=moment)
            process.kill()
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stdout.split() == ["open", "200"], done.stderr
    with imgsearch.open(str(tmp_path / "x.db")) as library:
        ids = [record.id for record in library.collection.iterate(vectors=False)]
    assert (len(ids), len(set(ids))) == (200, 200)


def test_moved_file_is_followed_and_a_copy_is_not(library, tmp_path):
    first, second = tmp_path / "alt/bild.png", tmp_path / "neu/ü/bild.png"
    first.parent.mkdir()
    second.parent.mkdir(parents=True)
    Image.fromarray(picture(1)).save(first)
    library.add(tmp_path / "alt")
    second.write_bytes(first.read_bytes())
    library.add(tmp_path / "neu")
    assert library.search(picture(1))[0].fields["path"] == str(first)
    first.unlink()
    assert library.add(tmp_path / "neu").updated == 1
    assert library.search(picture(1))[0].fields == {"path": str(second), "label": "ü"}
    assert library.count() == 1


def test_label_added_later_is_saved(library, folder):
    library.add(folder / "猫/bild-ü 0000.png")
    assert library.search(picture(0))[0].fields["label"] == ""
    report = library.add(folder)
    assert (report.added, report.updated, report.skipped) == (9, 1, 0)
    assert library.search(picture(0), k=1)[0].fields["label"] == "猫"


def test_labels_and_paths_match_in_both_forms_of_unicode(library, tmp_path):
    (path,) = write(tmp_path / "cafe\u0301", 1)
    library.add(tmp_path)
    for label in ("caf\u00e9", "cafe\u0301"):
        (hit,) = library.search(path, where=imgsearch.Field("label") == label)
        assert hit.fields == {"path": str(path), "label": "caf\u00e9"}
    typed = Path(unicodedata.normalize("NFC", str(path)))
    assert not typed.exists()
    assert library.remove(typed) == 1


def test_stored_decomposed_label_is_found_and_composed(library, tmp_path):
    write(tmp_path / "café", 1)
    library.add(tmp_path)
    (record,) = library.collection.iterate()
    old = replace(record, fields={**record.fields, "label": "cafe\u0301"})
    library.collection.upsert([old])
    assert library.search(picture(0), where=imgsearch.Field("label") == "café")
    assert library.add(tmp_path).updated == 1
    assert library.search(picture(0))[0].fields["label"] == "café"


def test_tables_with_a_path_column_are_lists_of_images(library, tmp_path):
    write(tmp_path, 2)
    (tmp_path / "l.tsv").write_text("path\tlabel\nbild-ü 0000.png\tcat\n", encoding="utf-8")
    table = pa.table({"path": ["bild-ü 0001.png"], "label": ["dog"]})
    parquet.write_table(table, tmp_path / "l.parquet")
    assert library.add(tmp_path / "l.tsv", tmp_path / "l.parquet").added == 2
    labels = [library.search(picture(n), k=1)[0].fields["label"] for n in range(2)]
    assert labels == ["cat", "dog"]
    parquet.write_table(pa.table({"ort": ["a.png"]}), tmp_path / "no.parquet")
    with pytest.raises(SourceError, match='no column "path"'):
        library.add(tmp_path / "no.parquet")


def test_undecodable_name_can_be_removed(library, tmp_path):
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.png"))
    Image.fromarray(picture(1)).save(path)
    assert library.add(tmp_path).added == 1
    assert library.remove(path) == 1


@pytest.mark.parametrize(
    "pixels", [np.zeros((5, 5), int), np.zeros((5, 5, 2), np.uint8), np.full((5, 5, 3), 200.0)]
)
def test_pixels_of_another_shape_or_type_are_rejected(library, folder, pixels):
    library.add(folder)
    with pytest.raises(ConfigError, match="pixels are uint8|float pixels must be in"):
        library.search(pixels)


@pytest.mark.parametrize("text", ["x" * 5_000, "~no such user/x.jpg", "a\0b"])
def test_query_that_cannot_be_a_path_raises_a_typed_error(library, folder, text):
    library.add(folder)
    with pytest.raises((SourceError, TextUnsupported)):
        library.search(text)


SHARED = Path(__file__).resolve().parents[3] / "shared/weights/mobilenetv2_100.safetensors"


@pytest.mark.torch
@pytest.mark.skipif(not SHARED.exists(), reason="the real weights are not beside the project")
def test_moved_weights_are_accepted_and_others_rejected(tmp_path, folder):
    weights = tmp_path / "w.safetensors"
    shutil.copy(SHARED, weights)
    url, options = str(tmp_path / "x.db"), {"pad_type": "same"}
    with imgsearch.open(
        url, model="timm:mobilenetv2_100", weights=weights, options=options
    ) as library:
        library.add(folder / "猫")
    weights.rename(tmp_path / "moved.safetensors")
    with imgsearch.open(url) as lost, pytest.raises(WeightsNotFound, match="weights"):
        lost.search(picture(0))
    with imgsearch.open(url, weights=tmp_path / "moved.safetensors") as reopened:
        assert reopened.search(picture(0))[0].score == pytest.approx(1, abs=1e-4)
    other = {"pad_type": ""}
    wrong = imgsearch.open(url, weights=SHARED, options=other)
    with wrong, pytest.raises(EncoderMismatch, match="options"):
        wrong.search(picture(0))
