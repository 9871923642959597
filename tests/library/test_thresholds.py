"""Saved thresholds of a library: automatic by the kind of query, hidden duplicates, commands."""

import json
import uuid

import numpy as np
import pytest
from PIL import Image

import imgsearch
from imgsearch.backends import notes
from imgsearch.errors import ConfigError
from imgsearch.evaluation.transforms import TRANSFORMS
from imgsearch.query import Query
from tests.pictures import page, picture, write, write_shade


@pytest.fixture
def library(tmp_path):
    write(tmp_path / "猫", 6)
    copies = tmp_path / "kopien"
    copies.mkdir()
    for place in range(3):
        lighter = np.minimum(picture(0), 250) + np.uint8(1 + place)
        Image.fromarray(lighter).save(copies / f"{place}.png")
    with imgsearch.open(f"memory://{uuid.uuid4().hex}", model="classic") as opened:
        opened.add(tmp_path)
        yield opened


def test_auto_uses_the_threshold_of_the_kind_of_query(library):
    library.thresholds.keep_min_scores({"image": {"threshold": 0.6}, "text": {"threshold": 0.2}})
    kept = library.thresholds
    vector = np.ones(4)
    assert kept.min_score(Query(picture(0)).kinds) == 0.6
    assert kept.min_score(Query(picture(0)).minus(vector).kinds) == 0.6
    assert kept.min_score(Query.text("dög").plus(Query.text("snow")).kinds) == 0.2
    assert kept.min_score(Query.text("dog").plus(picture(0)).kinds) == 0.2  # the lower of the two


def test_auto_returns_hits_above_the_threshold_or_none(library):
    scores = [hit.score for hit in library.search(picture(4), k=9)]
    library.thresholds.keep_min_scores({"image": {"threshold": (scores[0] + scores[1]) / 2}})
    assert len(library.search(picture(4), k=9, min_score="auto")) == 1
    library.thresholds.keep_min_scores({"image": {"threshold": 1.5}})
    assert library.search(picture(4), min_score="auto") == []


def test_missing_threshold_names_the_command(library):
    with pytest.raises(ConfigError, match=r"image queries.*imgsearch threshold"):
        library.search(picture(0), min_score="auto")
    library.thresholds.keep_min_scores({"image": {"threshold": 0.5}})
    with pytest.raises(ConfigError, match=r"text queries"):
        library.thresholds.min_score({"text"})
    with pytest.raises(ConfigError, match="imgsearch dedup"):
        library.search(picture(0), hide_duplicates=True)
    with pytest.raises(ConfigError, match="'high'"):
        library.search(picture(0), min_score="high")


def test_hidden_duplicates_make_room_for_others(library):
    hits = library.search(picture(0), k=4)
    assert sum("kopien" in hit.fields["path"] for hit in hits) == 3
    near = hits[3].score - 1e-4
    distinct = library.search(picture(0), k=4, hide_duplicates=near)
    assert len(distinct) == 4
    assert distinct[0] == hits[0]
    assert not any("kopien" in hit.fields["path"] for hit in distinct)
    library.thresholds.keep_duplicates({"threshold": near})
    assert library.search(picture(0), k=4, hide_duplicates=True) == distinct
    assert library.search(picture(0), k=4, hide_duplicates=2.0) == hits  # no score reaches 2.0


def test_notes_are_not_listed_as_a_library():
    with pytest.raises(ConfigError, match="Choose another name"):
        imgsearch.open("memory://x", collection=notes.NAME)


@pytest.fixture
def loaded(run, tmp_path):
    """Load a library of ten pictures of two classes, with wide copies of the first three."""
    write(tmp_path / "bilder/dog", 5)
    write(tmp_path / "bilder/snow", 5, start=5)
    (tmp_path / "bilder/é").mkdir()
    for place in range(3):
        copy = Image.fromarray(TRANSFORMS["aspect_150"](picture(place)))
        copy.save(tmp_path / f"bilder/é/kopie {place}.png")
    assert run("add", "bilder", "--model", "classic", "--json").exit_code == 0
    return tmp_path / "bilder"


@pytest.fixture
def shades(run, tmp_path):
    """Load a library of ten dark and ten bright pictures, each with a label."""
    write_shade(tmp_path / "bilder/dog", 10, bright=False)
    write_shade(tmp_path / "bilder/snow", 10, start=10, bright=True)
    assert run("add", "bilder", "--model", "classic", "--json").exit_code == 0
    return tmp_path / "bilder"


def names(group):
    members = [group["kept"], *group["others"]]
    return {"/".join(hit["fields"]["path"].split("/")[-2:]) for hit in members}


@pytest.mark.long
def test_dedup_finds_and_keeps_its_threshold(run, loaded, tmp_path):
    result = json.loads(run("dedup", "--precision", 0.5, "--sample", 4, "--json").stdout)
    assert (result["removed"], result["images"], result["measured"]["changed"]) == (None, 13, 4)
    pairs = [{f"dog/bild-ü 000{place}.png", f"é/kopie {place}.png"} for place in range(3)]
    assert all(any(pair <= names(group) for group in result["groups"]) for pair in pairs)
    near = sum(len(group["others"]) for group in result["groups"])

    done = run("dedup", "--precision", 0.5, "--sample", 4, "--html", "seite.html")
    assert done.exit_code == 0, done.output
    expected = f"Found {near} duplicates in {len(result['groups'])} groups (13 images checked)"
    assert expected in done.stderr
    assert f"{result['threshold']:.4f}, for a precision of 0.5" in done.stderr
    assert done.stdout.count("kept") == len(result["groups"])
    page = (tmp_path / "seite.html").read_text(encoding="utf-8")
    assert page.count("data:image/jpeg;base64,") == len(result["groups"]) + near
    assert ("Near-duplicate 1" in page, "Hit" in page, "Query" in page) == (True, False, False)

    query = loaded / "dog/bild-ü 0000.png"
    words = ("search", query, "--hide-duplicates", "-k", 13, "--json")
    hit_names = {"/".join(hit["fields"]["path"].split("/")[-2:])
             for hit in json.loads(run(*words).stdout)}  # fmt: skip
    assert all(len(pair & hit_names) <= 1 for pair in pairs)
    assert "dog/bild-ü 0000.png" in hit_names


@pytest.mark.long
def test_dedup_joins_the_vectors_of_classic(run, tmp_path):
    paths = write(tmp_path / "bilder", 8)
    for place in range(2):
        copy = Image.fromarray(TRANSFORMS["aspect_150"](picture(place)))
        copy.save(tmp_path / f"bilder/kopie {place}.png")
    assert run("add", "bilder", "--model", "lite", "--json").exit_code == 0
    paths[7].unlink()
    words = ("dedup", "--precision", 0.3, "--sample", 4, "--json")
    result = json.loads(run(*words).stdout)
    assert (result["joined"], result["not_read"], result["images"]) == (True, 1, 10)
    pairs = [{f"bilder/bild-ü 000{place}.png", f"bilder/kopie {place}.png"} for place in range(2)]
    assert all(any(pair <= names(group) for group in result["groups"]) for pair in pairs)
    kept = json.loads(run("info", "--json").stdout)["thresholds"]["duplicates"]
    assert kept["threshold"] != result["threshold"]  # search compares stored vectors

    done = run("dedup", "--threshold", 0.9, "--json")
    assert not json.loads(done.stdout)["joined"]


@pytest.mark.long
def test_dedup_rejects_a_threshold_that_fails_its_check(run, tmp_path):
    query, *_ = write(tmp_path / "bilder", 8)
    assert run("add", "bilder", "--model", "classic", "--json").exit_code == 0
    with imgsearch.open("photos.db") as library:
        library.thresholds.keep_duplicates({"threshold": 0.9, "wanted": 0.5})
    done = run("dedup", "--precision", 0.9, "--remove", "--yes")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "failed its check: wanted precision 0.9, checked 0." in done.stderr
    assert json.loads(run("info", "--json").stdout)["count"] == 8
    done = run("search", query, "--hide-duplicates")  # uses the earlier threshold
    assert (done.exit_code, "pixels were not compared" in done.stderr) == (0, True)
    assert run("dedup", "--precision", 0.3).exit_code == 1  # deletes the threshold for 0.5
    done = run("search", query, "--hide-duplicates")
    assert (done.exit_code, "imgsearch dedup" in done.stderr) == (1, True)


def test_dedup_removes_only_verified_copies(run, loaded):
    """Of three copies one file is deleted and one has another picture."""
    (loaded / "é/kopie 0.png").unlink()
    Image.fromarray(picture(77)).save(loaded / "é/kopie 1.png")
    words = ("dedup", "--threshold", 0.91, "--remove", "--yes")
    result = json.loads(run(*words, "--json").stdout)
    assert (result["removed"], len(result["groups"]), result["compared"]["unread"]) == (1, 1, 2)
    assert all(other["verified"] for group in result["groups"] for other in group["others"])
    assert [pair["verdict"] for pair in result["unverified"]] == ["unread"] * 2
    assert any("changed since it was added" in pair["reason"] for pair in result["unverified"])
    done = run("dedup", "--threshold", 0.91)
    assert "not verified: 2 pairs, of which 2 could not be read" in done.stderr
    assert done.stdout.count("unread") == 2
    assert json.loads(run(*words, "--unread", "--json").stdout)["removed"] == 2


@pytest.mark.long
def test_dedup_separates_pages_that_the_encoder_does_not(run, tmp_path):
    (tmp_path / "seiten").mkdir()
    for place in range(3):
        Image.fromarray(page(place)).save(tmp_path / f"seiten/{place}.png")
    Image.fromarray(page(2)[:, ::-1].copy()).save(tmp_path / "seiten/2 flipped.png")
    assert run("add", "seiten", "--model", "classic", "--json").exit_code == 0
    result = json.loads(run("dedup", "--threshold", 0.5, "--remove", "--yes", "--json").stdout)
    assert [names(group) for group in result["groups"]] == [
        {"seiten/2.png", "seiten/2 flipped.png"}
    ]
    assert (result["removed"], result["compared"]["same"], result["compared"]["different"]) == (
        1,
        1,
        5,
    )


def test_saved_threshold_that_failed_its_check_is_not_used(library):
    """Older versions saved such thresholds."""
    checked = {"precision": 0.777, "precision_interval": [0.7, 0.85], "pairs": 40}
    denied = {"threshold": 0.5, "wanted": 0.99, "checked": checked}
    library.thresholds.keep_duplicates(denied)
    with pytest.raises(ConfigError, match=r"failed its check: wanted precision 0\.99"):
        library.search(picture(0), hide_duplicates=True)
    library.thresholds.keep_min_scores({"image": denied})
    with pytest.raises(ConfigError, match="failed its check"):
        library.search(picture(0), min_score="auto")
    library.thresholds.keep_duplicates({**denied, "wanted": 0.8})
    assert library.thresholds.duplicates() == 0.5


def test_rejected_measurement_deletes_thresholds_of_that_precision(library):
    library.thresholds.keep_min_scores({
        "image": {"threshold": 0.6, "wanted": 0.9}, "text": {"threshold": 0.2, "wanted": 0.5}
    })  # fmt: skip
    library.thresholds.forget_min_scores(0.8)
    assert set(library.thresholds.to_dict()["min_score"]) == {"text"}


def test_dedup_removes_with_the_option(run, loaded):
    words = ("dedup", "--threshold", 0.91, "--remove")  # one copy of each of three images
    no = run(*words, input="n\n")
    assert (no.exit_code, "Remove 3 images" in no.stderr) == (1, True)
    assert json.loads(run("info", "--json").stdout)["count"] == 13
    result = json.loads(run(*words, "--yes", "--json").stdout)
    assert (result["removed"], result["measured"], len(result["groups"])) == (3, None, 3)
    assert json.loads(run("info", "--json").stdout)["count"] == 10
    assert json.loads(run(*words, "--yes", "--json").stdout)["groups"] == []
    assert len(list(loaded.rglob("*.png"))) == 13


def test_dedup_reports_a_library_without_duplicates(run, tmp_path):
    write(tmp_path / "bilder", 6)
    assert run("add", "bilder", "--model", "classic", "--json").exit_code == 0
    done = run("dedup", "--threshold", 0.9999, "--html", "seite.html", "--remove")
    assert done.exit_code == 0, done.output
    assert "0 groups" in done.stderr
    assert "as given; its precision is unknown" in done.stderr
    assert "Removed 0 images" in done.stderr
    assert "No near-duplicates." in (tmp_path / "seite.html").read_text(encoding="utf-8")


def test_threshold_is_measured_saved_and_used_by_search(run, shades):
    query = shades / "dog/bild-ü 0000.png"
    before = run("search", query, "--min-score", "auto")
    assert before.exit_code == 1
    assert "imgsearch threshold" in before.stderr
    done = run("threshold", "--precision", 0.3)
    assert done.exit_code == 0, done.output
    assert done.stdout.split()[0] == "queries"
    assert "no threshold is kept for text queries" in done.stderr
    result = json.loads(run("threshold", "bilder", "--precision", 0.3, "--json").stdout)
    assert set(result["kept"]) == {"image"}
    lowest = result["kept"]["image"]["threshold"]
    hits = json.loads(run("search", query, "--min-score", "auto", "-k", 25, "--json").stdout)
    assert hits
    assert all(hit["score"] >= lowest for hit in hits)
    facts = json.loads(run("info", "--json").stdout)
    assert facts["thresholds"]["min_score"]["image"]["threshold"] == lowest
    assert "threshold image" in run("info").stdout


def test_threshold_rejects_folders_without_labels(run, loaded):
    failed = run("threshold", "--precision", 0.3)
    assert (failed.exit_code, failed.stdout) == (1, "")
    assert "the labels do not" in failed.stderr


def test_min_score_is_a_number_or_auto(run, shades):
    done = run("search", shades / "dog/bild-ü 0000.png", "--min-score", "hoch")
    assert done.exit_code == 2
    assert "'hoch' is not a number or auto" in done.stderr
