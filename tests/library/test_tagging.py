"""Images are tagged by their stored vectors, without decoding."""

import json
import shutil
import uuid

import numpy as np
import pytest

import imgsearch
from imgsearch.datasets.gallery import FOLDER
from imgsearch.errors import CollectionNotFound, ConfigError, SchemaMismatch, TextUnsupported
from tests.pictures import picture

LABELS = ["pizza", "lighthouse", "goldfish"]


@pytest.fixture
def photos(tmp_path):
    for name in LABELS:
        for file in sorted((FOLDER / "train" / name).iterdir())[:3]:
            (tmp_path / "Fotos" / name).mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, tmp_path / "Fotos" / name / file.name)
    return tmp_path / "Fotos"


@pytest.fixture(params=["memory", "embedded"])
def library(request, tmp_path, photos):
    url = f"memory://{uuid.uuid4().hex}" if request.param == "memory" else tmp_path / "ü.db"
    with imgsearch.open(url, model="lite") as opened:
        opened.add(photos)
        yield opened


def tags(library, field="tags"):
    return {
        record.path: record.fields.get(field)
        for record in library.collection.iterate(vectors=False)
    }


def scores(library):
    """Return the score of each label for each image, by path."""
    texts = library.embed([imgsearch.Query.text(label) for label in LABELS])
    return {
        record.path: dict(zip(LABELS, texts @ record.vector, strict=True))
        for record in library.collection.iterate()
    }


def test_best_label_is_written_and_filtered(library, photos):
    for folder in photos.iterdir():  # no image is read
        shutil.rmtree(folder)
    best = {path: max(by, key=by.get) for path, by in scores(library).items()}
    dry = library.tag([*LABELS, " goldfish "], top=1, dry_run=True)
    assert "tags" not in library.fields
    progress = []
    result = library.tag(LABELS, top=1, on_progress=lambda *step: progress.append(step))
    assert result == dry
    assert (result.images, result.tagged, result.changed) == (9, 9, 9)
    assert tags(library) == best
    assert progress[-1] == (9, 9)
    hits = library.search(picture(1), where="tags contains goldfish")
    assert {hit.path for hit in hits} == {path for path, tag in best.items() if tag == "goldfish"}
    assert result.counts == library.facets("tags")
    again = library.tag(LABELS, top=1)
    assert (again.tagged, again.changed) == (9, 0)
    assert library.add([("neu.png", picture(3))]).added == 1
    assert library.facets("tags", where="path under /tmp") == result.counts


def test_labels_above_a_score_come_best_first(library):
    by_path = scores(library)
    middle = float(np.median([value for by in by_path.values() for value in by.values()]))
    library.tag(LABELS, min_score=middle, field="what")
    for path, text in tags(library, "what").items():
        above = [label for label, value in by_path[path].items() if value >= middle]
        assert text == "; ".join(sorted(above, key=by_path[path].get, reverse=True))
    library.tag(LABELS, min_score=middle, top=1, field="what", where="label = goldfish")
    single = [text for path, text in tags(library, "what").items() if "/goldfish/" in path]
    assert not any("; " in text for text in single)
    cleared = library.tag(["a rocket; far away"], min_score=1.0, field="what")
    assert (cleared.tagged, cleared.counts) == (0, {})
    assert set(tags(library, "what").values()) == {""}


def test_threshold_of_texts_is_the_default(library):
    with pytest.raises(ConfigError, match=r"no threshold is kept for text .*top=1, --top 1"):
        library.tag(LABELS)
    values = sorted(value for by in scores(library).values() for value in by.values())
    threshold = float(values[-3] + values[-4]) / 2
    library.thresholds.keep_min_scores({"text": {"threshold": threshold}})
    assert sum(library.tag(LABELS).counts.values()) == 3
    assert library.tag(LABELS, min_score="auto").changed == 0


@pytest.mark.parametrize(
    ("labels", "options", "error", "message"),
    [
        ([], {"top": 1}, ConfigError, "there are no labels"),
        ([" "], {"top": 1}, ConfigError, "there are no labels"),
        ("dog", {"top": 1}, ConfigError, "labels must be a list of texts"),
        ([3], {"top": 1}, ConfigError, "a label is a int: give texts"),
        (LABELS, {"top": 0}, ConfigError, "top must be a whole number"),
        (LABELS, {"min_score": float("nan")}, ConfigError, "min_score"),
        (LABELS, {"top": 1, "field": "label"}, ConfigError, "imgsearch sets it"),
    ],
)
def test_invalid_options_raise(photos, labels, options, error, message):
    with imgsearch.open(f"memory://{uuid.uuid4().hex}") as opened:
        opened.add(photos / "goldfish")
        with pytest.raises(error, match=message):
            opened.tag(labels, **options)


def test_field_of_another_type_and_an_encoder_of_images_only(photos):
    with imgsearch.open(f"memory://{uuid.uuid4().hex}", model="classic", fields={"n": int}) as one:
        with pytest.raises(CollectionNotFound):
            one.tag(LABELS, top=1)
        one.add(photos / "goldfish")
        with pytest.raises(SchemaMismatch, match="field 'n' is int"):
            one.tag(LABELS, top=1, field="n")
        with pytest.raises(TextUnsupported):
            one.tag(LABELS, top=1)


def test_command_tags_a_library(run, photos):
    labels = photos / "labels.txt"
    labels.write_text("cat\n" * 300_000, "utf-8")
    refused = run("tag", "--db", "f.db", "--labels", labels, "--top", "1")
    assert "more than 1,000,000 characters" in refused.stderr
    labels.write_text("# Wörter\ngoldfish\n\nlighthouse  # Regen\n", "utf-8")
    assert run("add", photos, "--db", "f.db").exit_code == 0
    words = ("tag", "--db", "f.db", "--labels", labels)
    dry = run(*words, "--top", "1", "--dry-run")
    assert "9 of 9 images tagged; 9 images would be changed" in dry.stderr
    done = json.loads(run(*words, "--top", "1", "--json").stdout)
    assert (done["changed"], set(done["counts"])) == (9, {"goldfish", "lighthouse"})
    hits = run("search", "goldfish", "--db", "f.db", "--where", "tags contains goldfish", "--json")
    assert len(json.loads(hits.stdout)) == done["counts"]["goldfish"]
    refused = run(*words)
    assert (refused.exit_code, "no threshold is kept" in refused.stderr) == (1, True)
