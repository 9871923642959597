"""Queries: parsing, arithmetic worked by hand, and searches by text with a small encoder.

The encoder embeds an image as its mean RGB, and a text as the sum of its color names.
"""

import json
import pickle
import subprocess
import sys
import uuid
import warnings
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import imgsearch
from imgsearch import Query, encoders
from imgsearch.cli import cli
from imgsearch.encoders import Encoder
from imgsearch.encoders.query_encoder import combined
from imgsearch.errors import (
    ConfigError,
    DimensionMismatch,
    EncoderError,
    EncoderMismatch,
    ImgSearchError,
    SourceError,
    TextUnknown,
    TextUnsupported,
    TextWarning,
    VectorInvalid,
)
from imgsearch.pipelines import text_search_pipeline
from imgsearch.types import Fingerprint
from tests.pictures import write

AXES = {"red": 0, "green": 1, "blue": 2}
GALLERY = {"rot-ü": (255, 0, 0), "grün": (0, 255, 0), "blau": (0, 0, 255), "gelb": (255, 255, 0)}
HALF = 0.5**0.5


class ColorEncoder(Encoder):
    """Mean RGB in [0, 1]; texts as counts of the three colors' names."""

    fingerprint = Fingerprint("colors", 3)
    languages = ("en",)

    def prepare(self, image):
        return image.mean(axis=(0, 1), dtype=np.float32) / 255

    def features(self, inputs):
        return np.stack(inputs)

    def text_features(self, texts):
        counts = np.zeros((len(texts), 3), dtype=np.float32)
        for row, text in zip(counts, texts, strict=True):
            for word in text.split():
                if word in AXES:
                    row[AXES[word]] += 1
        return counts


@pytest.fixture
def colors(monkeypatch):
    """Make the color encoder the default."""
    default = encoders.load()
    key = next(key for key, encoder in encoders._encoders.items() if encoder is default)
    monkeypatch.setitem(encoders._encoders, key, ColorEncoder())


@pytest.fixture
def gallery(tmp_path, monkeypatch):
    """Change to a folder next to four pictures of one color each."""
    (tmp_path / "bilder").mkdir()
    for name, color in GALLERY.items():
        Image.new("RGB", (8, 6), color).save(tmp_path / f"bilder/{name}.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "bilder"


@pytest.fixture
def library(colors, gallery):
    with imgsearch.open(f"memory://{uuid.uuid4().hex}") as opened:
        opened.add(gallery)
        yield opened


@pytest.fixture
def run(run, colors, gallery):
    assert run("add", "bilder", "--json").exit_code == 0
    return run


def names(hits):
    return [Path(hit.fields["path"]).stem for hit in hits]


def kinds(query):
    return [term.kind for term in query.terms]


def floats(*numbers):
    return np.array(numbers, dtype=np.float32)


@pytest.mark.parametrize(
    ("vectors", "weights", "expected"),
    [
        # (1, 0) + (0, 1) = (1, 1), of length √2
        ([(1, 0), (0, 1)], (1, 1), (HALF, HALF)),
        # (3, 0) → (1, 0) and (0, 4) → (0, 1); (1, -1/2) has length √5 / 2
        ([(3, 0), (0, 4)], (1, -0.5), (2 / 5**0.5, -1 / 5**0.5)),
        # 3 · (1, 2, 2) / 3 - 2 · (0, 0, 1) = (1, 2, 0), of length √5
        ([(1, 2, 2), (0, 0, 5)], (3, -2), (1 / 5**0.5, 2 / 5**0.5, 0)),
        # weights count by their ratio, however large
        ([(1, 0), (0, 1)], (3e300, 4e300), (0.6, 0.8)),
    ],
)
def test_weighted_sum_of_unit_vectors_has_unit_length(vectors, weights, expected):
    sum_ = combined([floats(*vector) for vector in vectors], weights)
    assert sum_.dtype == np.float32
    assert sum_ == pytest.approx(expected, abs=1e-6)


def test_terms_that_cancel_out_raise(library):
    with pytest.raises(ConfigError, match="cancel each other"):
        combined([floats(1, 0), floats(1, 1e-7)], (1, -1))
    with pytest.raises(ConfigError, match="cancel each other"):
        library.search(Query("red").minus("bilder/rot-ü.png"))
    assert combined([floats(1, 0), floats(1, 1e-3)], (1, -1)) == pytest.approx((0, -1), abs=1e-3)


def test_vectors_of_different_dimensions_are_rejected(library):
    with pytest.raises(DimensionMismatch, match="2 and 3") as caught:
        library.search(Query("red").plus(floats(1, 0)))
    assert (caught.value.expected, caught.value.got) == (3, 2)
    for odd in (floats(0, 0, 0), floats(1, np.nan, 0)):
        with pytest.raises(VectorInvalid):
            library.search(Query("red").plus(odd))


@pytest.mark.parametrize("weight", [0, -1, float("nan"), float("inf")])
def test_weight_must_be_finite_and_positive(weight):
    for build in (Query, Query.text, Query("blue").plus, Query("blue").minus):
        with pytest.raises(ConfigError, match="above 0"):
            build("red", weight=weight)


def test_query_is_immutable(gallery):
    first = Query("a dog")
    second = first.plus("雪").minus("bilder/gelb.png", weight=0.5)
    assert (str(first), len(first.terms)) == ("a dog", 1)
    assert str(second) == "a dog + 雪 - 0.5*bilder/gelb.png"
    assert repr(second) == f"<Query {str(second)!r}: text, text, image>"
    assert [term.weight for term in second.terms] == [1, 1, -0.5]
    assert pickle.loads(pickle.dumps(second)).terms == second.terms  # noqa: S301 - our own bytes


def test_another_query_adds_its_terms_times_the_weight():
    inner = Query("a").minus("b", weight=0.5)
    terms = Query("x", weight=3).minus(inner, weight=4).terms
    assert [(term.value, term.weight) for term in terms] == [("x", 3), ("a", -4), ("b", 2)]


def test_values_are_parsed_by_type(gallery):
    pixels = np.zeros((2, 3, 3), dtype=np.uint8)
    file = gallery / "gelb.png"
    query = Query(str(file)).plus(file).plus(file.read_bytes()).plus(pixels).plus("ein Hund")
    assert kinds(query.plus(floats(1, 2))) == [*["image"] * 4, "text", "vector"]
    assert str(Query(pixels)) == "image of 2 x 3 x 3"
    assert str(Query(b"abc")) == "image of 3 bytes"


@pytest.mark.parametrize(
    "text", ["a white dog", "猫", "and / or", "3.5 mm film", "dr. no", "~", "x" * 5_000, "a\0b"]
)
def test_string_unlike_a_path_is_a_text(text, gallery):
    assert kinds(Query(text)) == ["text"]


@pytest.mark.parametrize(
    "text",
    [
        "fehlt.jpg",
        "a cat.JPEG",
        "bilder/fehlt",
        "./ein bild",
        "../kein bild hier",
        "~/weg",
        "/no such",
        "~\0/x.png",
    ],
)
def test_string_like_a_path_must_exist(text, gallery):
    with pytest.raises(SourceError, match="no such file: .*write text:.*Query.text") as caught:
        Query(text)
    assert caught.value.path == text
    assert kinds(Query.text(text)) == ["text"]


def test_folders_and_urls_are_rejected(gallery):
    with pytest.raises(SourceError, match="./bilder is a folder: give one of its images"):
        Query("./bilder")
    assert kinds(Query("bilder")) == ["text"]
    with pytest.raises(SourceError, match="only http and https URLs are fetched"):
        Query("ftp://example.org/cat.jpg")


@pytest.mark.parametrize(
    "value", ["", "  ", 3, None, ["a", 0.5], [], {}, np.array(["a"]), np.ones((2, 5, 2))]
)
def test_invalid_query_raises_a_typed_error(value, library):
    with pytest.raises(ImgSearchError):
        library.search(value)


def test_query_text_and_query_image_reject_other_types():
    with pytest.raises(ConfigError, match="invalid text of type bytes"):
        Query.text(b"abc")
    with pytest.raises(ConfigError, match="invalid image: a vector"):
        Query.image(floats(1, 0))
    with pytest.raises(ConfigError, match="invalid query of type int"):
        Query.image(3)
    with pytest.raises(ConfigError, match="not UTF-8"):
        Query("caf\udce9")


def test_text_finds_images(library):
    hits = library.search("something red")
    assert names(hits)[:2] == ["rot-ü", "gelb"]
    # red is (1, 0, 0), yellow (1, 1, 0) / √2, the others are orthogonal to red
    assert [hit.score for hit in hits] == pytest.approx([1, HALF, 0, 0], abs=1e-6)


def test_k_offset_where_and_min_score_hold_for_texts(library):
    assert names(library.search("red", k=1, offset=1)) == ["gelb"]
    assert names(library.search("red", min_score=0.9)) == ["rot-ü"]
    nowhere = imgsearch.Field("label") == "nirgends"
    assert library.search("red", where=nowhere) == []


def test_texts_images_and_vectors_are_summed(library, gallery):
    yellow = Query("red").plus("green")
    assert library.search(yellow, k=1)[0].score == pytest.approx(1, abs=1e-6)
    assert names(library.search(yellow, k=1)) == ["gelb"]
    # (1, 1, 0) / √2 - (0, 1, 0) / √2 = (1, 0, 0) / √2
    green = [
        "green", gallery / "grün.png", (gallery / "grün.png").read_bytes(), floats(0, 7, 0),
        np.full((2, 2, 3), (0, 9, 0), dtype=np.uint8),
    ]  # fmt: skip
    for term in green:
        red = Query(gallery / "gelb.png").minus(term, weight=HALF)
        assert library.encode(red) == pytest.approx((1, 0, 0), abs=1e-6)


def test_query_of_one_term_has_the_vector_of_the_term(library, gallery):
    file = gallery / "gelb.png"
    for value in ("red blue", file):
        alone = library.encode(value)
        assert library.encode(Query(value, weight=0.3)).tolist() == alone.tolist()
    assert library.encode(floats(3, 0, 4)).tolist() == [3, 0, 4]
    assert library.encode(Query(floats(3, 0, 4), weight=2)).tolist() == [3, 0, 4]


def test_file_named_like_a_text_is_an_image_unless_marked_as_text(library, gallery):
    (gallery / "grün.png").rename("red")
    assert names(library.search("red", k=1)) == ["grün"]
    assert names(library.search(Query.text("red"), k=1)) == ["rot-ü"]
    assert names(library.search(Query.image("red"), k=1)) == ["grün"]
    with pytest.raises(SourceError):
        library.search(Query.image("green"))


def test_texts_have_vectors_before_the_first_add(colors):
    with imgsearch.open(f"memory://{uuid.uuid4().hex}") as empty:
        assert empty.encode("blue").tolist() == [0, 0, 1]


def test_text_with_a_zero_vector_raises(library):
    with pytest.raises(EncoderError, match="zero"):
        library.search("nothing of that")


def test_encoder_without_texts_raises_and_names_others(gallery):
    with imgsearch.open(f"memory://{uuid.uuid4().hex}", model="classic") as plain:
        plain.add(gallery)
        with pytest.raises(TextUnsupported, match="'classic' takes images only.*clip_vit_b32"):
            plain.search(Query(gallery / "gelb.png").plus("ein Hund"))


def test_texts_of_another_encoder_are_rejected(gallery, request):
    with imgsearch.open(f"memory://{uuid.uuid4().hex}") as plain:
        plain.add(gallery)
        request.getfixturevalue("colors")
        with pytest.raises(EncoderMismatch):
            plain.search("red")


def test_unknown_script_warns_once_a_search(library):
    with pytest.warns(TextWarning, match="colors was trained on texts in en.*犬") as caught:
        hits = library.search(Query("red 犬").plus("red 猫").plus("red собака"))
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert names(hits)[0] == "rot-ü"
    with warnings.catch_warnings(record=True) as none:
        library.search("red, très red")
    assert none == []


def test_search_warns_of_words_that_the_word_table_skips(word_table, gallery):
    with imgsearch.open(f"memory://{uuid.uuid4().hex}") as library:
        library.add(gallery)
        with pytest.warns(
            TextWarning, match="lite does not know 'qqqqzz', and ignores it"
        ) as caught:
            hits = library.search("a qqqqzz dog", k=3)
        assert (len(hits), caught[0].filename) == (3, __file__)
        with pytest.raises(TextUnknown, match="'goldfsh'; did you mean goldfish"):
            library.search("goldfsh")


def test_pipeline_returns_a_row_for_each_text(colors, gallery):
    url = f"memory://{uuid.uuid4().hex}"
    with imgsearch.connect(url), imgsearch.open(url) as library:
        library.add(gallery)
        search = text_search_pipeline(url, model="lite", k=2)
        assert [row["text"] for row in search("red")] == ["red"]
        rows = search([*["red", "green blue"] * 20])
        assert [row["text"] for row in rows] == ["red", "green blue"] * 20
        assert names(rows[0]["hits"]) == ["rot-ü", "gelb"]
        # (0, 1, 1) / √2 has the cosine 1 / √2 to both of them
        assert [hit.score for hit in rows[1]["hits"]] == pytest.approx([HALF, HALF], abs=1e-6)
        only = text_search_pipeline(url, model="lite", min_score=0.9)
        assert names(only("blue")[0]["hits"]) == ["blau"]
        search.close()
        only.close()


def test_invalid_text_is_a_row_with_its_error(colors, gallery):
    url = f"memory://{uuid.uuid4().hex}"
    with imgsearch.open(url) as library:
        library.add(gallery)
        search = text_search_pipeline(url, model="lite")
        rows = list(search.stream([["red", " ", "blue", 3, None]]))
        assert [type(row["error"]).__name__ for row in rows] == [
            "NoneType", "EncoderError", "NoneType", "EncoderError", "EncoderError",
        ]  # fmt: skip
        strict = text_search_pipeline(url, model="lite", on_error="raise")
        with pytest.raises(EncoderError, match="zero"):
            strict("no color at all")
        search.close()
        strict.close()


def test_pipeline_of_a_model_without_texts_raises_when_built():
    with pytest.raises(TextUnsupported, match="images only.*clip_vit_b32"):
        text_search_pipeline("memory://x", model="classic").build()


def test_command_line_accepts_texts_images_signs_and_weights(run):
    def first(*words):
        done = run("search", *words, "--json", "-k", 1)
        assert done.exit_code == 0, done.output
        assert done.stderr == ""
        return names_of(done.stdout)[0]

    assert first("something red") == "rot-ü"
    assert first("bilder/gelb.png") == "gelb"
    assert first("red", "+", "green") == "gelb"
    assert first("red", "-", "bilder/rot-ü.png", "+", "blue", "+", ".5*bilder/blau.png") == "blau"
    # (1, 1, 0) - √2 · (0, 1, 0) · 0.7071… = (1, 0, 0)
    assert first("bilder/gelb.png", "-", "0.70710678*green") == "rot-ü"


def names_of(output):
    return [Path(hit["fields"]["path"]).stem for hit in json.loads(output)]


def test_command_line_options_set_the_kind_of_a_query(run, gallery):
    (gallery / "grün.png").rename("red")
    for words, expected in (
        (["red"], "grün"),
        (["text:red"], "rot-ü"),
        (["image:red"], "grün"),
        (["blue", "+", "2*text:red"], "rot-ü"),
    ):
        assert names_of(run("search", *words, "--json").stdout)[0] == expected
    done = run("search", "image:green")
    assert (done.exit_code, done.stderr) == (1, "Error: green: no such file or folder\n")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["a", "white", "dog"], "in quotes"),
        (["red", "green"], "in quotes"),
        (["red", "+"], "between two terms"),
        (["+"], "between two terms"),
        (["-", "red", "+"], "in quotes"),
        (["red", "+", "-"], "between two terms"),
        ([], "Missing argument"),
    ],
)
def test_terms_without_a_sign_are_a_usage_error(run, words, message):
    done = run("search", *words)
    assert done.exit_code == 2
    assert message in done.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["fehlt.jpg"], "no such file: fehlt.jpg. To search for the words, write text:fehlt.jpg"),
        (["red", "+", "bilder/fehlt.png"], "no such file: bilder/fehlt.png"),
        (["red", "-", "red"], "cancel each other"),
        (["0*red"], "above 0"),
        (["text:"], "the query is empty"),
    ],
)
def test_invalid_query_is_one_line_with_exit_status_1(run, words, message):
    done = run("search", *words)
    assert done.exit_code == 1, done.output
    assert done.stderr.startswith("Error: ")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_page_shows_the_query_image_or_text(run):
    run("search", "red", "-", "<b>ü</b> green", "--html", "worte.html")
    words = Path("worte.html").read_text(encoding="utf-8")
    assert words.count("<img ") == 4
    assert "red - &lt;b&gt;ü&lt;/b&gt; green" in words
    run("search", "bilder/gelb.png", "--html", "bild.html")
    assert Path("bild.html").read_text(encoding="utf-8").count("<img ") == 5


def test_unknown_script_is_a_line_on_standard_error(run):
    done = run("search", "red 犬", "--json")
    assert done.exit_code == 0
    assert names_of(done.stdout)[0] == "rot-ü"
    assert done.stderr.startswith("Warning: colors was trained on")
    assert done.stderr.count("\n") == 1


def test_default_encoder_takes_arithmetic_and_texts(tmp_path, monkeypatch):
    paths = write(tmp_path / "bilder", 4)
    monkeypatch.chdir(tmp_path)
    with imgsearch.open() as library:
        library.add("bilder")

    def search(*words):
        return CliRunner().invoke(cli, ["search", *map(str, words)])

    done = search(paths[0], "-", f"0.2*{paths[1].relative_to(tmp_path)}", "--json")
    assert (done.exit_code, done.stderr) == (0, "")
    ranked = names_of(done.stdout)
    assert ranked[0] == "bild-ü 0000"
    refused = search("🦊")
    assert (refused.exit_code, refused.stdout, refused.stderr.count("\n")) == (1, "", 1)
    assert "🦊" in refused.stderr


@pytest.mark.long
def test_warning_in_a_shell_is_one_line(tmp_path):
    write(tmp_path / "bilder", 4)
    with imgsearch.open(str(tmp_path / "photos.db")) as library:
        library.add(tmp_path / "bilder")
    warned = subprocess.run(
        [sys.executable, "-m", "imgsearch", "search", "a dog собака", "--json"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert (warned.returncode, len(names_of(warned.stdout)), warned.stderr.count("\n")) == (0, 4, 1)
    assert "lite was trained on texts in en" in warned.stderr


def test_objects_are_the_same_query_as_their_file(library, gallery):
    file = next(gallery.rglob("*.png"))
    with Image.open(file) as opened:
        expected = names(library.search(file))
        pixels = np.asarray(opened.convert("RGB"))
        for query in (opened, pixels, pixels / 255, file.read_bytes()):
            assert names(library.search(query)) == expected
    vector = library.encode(file)
    for query in (vector, vector[None], vector.tolist(), tuple(vector.tolist())):
        assert names(library.search(query)) == expected
        assert kinds(Query(query)) == ["vector"]
    assert kinds(Query(opened).plus([1.0, 2.0]).minus("text")) == ["image", "vector", "text"]
