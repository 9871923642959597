"""The default encoder reaches its documented minimum figures on real photographs. The photographs

are stored beside the project; lite's network was very probably trained on the ImageNet subset.
"""

import uuid
from pathlib import Path

import numpy as np
import pytest

import imgsearch
from imgsearch.encoders.lite.sentences import SentenceModel
from imgsearch.evaluation.queries import captioned, load_questions

DATA = Path(__file__).resolve().parents[3] / "shared/data"
SUBSET, CAPTIONS = DATA / "imagenet-subset", DATA / "captions"
pytestmark = pytest.mark.skipif(
    not (SUBSET.is_dir() and CAPTIONS.is_dir()), reason="the photographs are not beside the project"
)
needs_sentences = pytest.mark.skipif(
    not SentenceModel.is_installed(), reason="needs the extra sentences"
)


def library_of(folder):
    with imgsearch.open(f"memory://{uuid.uuid4().hex}") as library:
        library.add(folder)
        yield library


@pytest.fixture(scope="module")
def classes():
    """Return a library of 1,000 images, ten for each of 100 classes."""
    yield from library_of(SUBSET / "train")


@pytest.fixture(scope="module")
def described():
    """Return a library of 157 images that have captions."""
    yield from library_of(CAPTIONS / "images")


def right(library, queries):
    """Return whether the ten hits of each (query, label) have the label, (n, 10)."""
    return np.array([
        [hit.fields["label"] == label for hit in library.search(query, k=10)]
        for query, label in queries
    ])  # fmt: skip


def names():
    return [(path.name.replace("_", " "), path.name) for path in (SUBSET / "train").iterdir()]


def recall_of_captions(library):
    """Return the share of first captions with their image among ten hits."""
    questions = load_questions(captioned(CAPTIONS), "captions")
    assert len(questions) == 157
    return np.mean([
        Path(question.path).name  # not the whole path: the folder may be a link
        in [Path(hit.fields["path"]).name for hit in library.search(question.text, k=10)]
        for question in questions
    ])  # fmt: skip


def test_images_find_images_of_their_class(classes):
    hits = right(classes, [(path, path.parent.name) for path in (SUBSET / "test").rglob("*.*")])
    assert hits.shape == (100, 10)
    assert hits.mean() >= 0.85
    assert hits[:, 0].mean() >= 0.9


@needs_sentences
def test_class_names_find_their_images(classes):
    assert right(classes, names()).mean() >= 0.9


def test_class_names_find_their_images_by_the_word_table(classes, word_table):
    assert right(classes, names()).mean() >= 0.7


@needs_sentences
def test_captions_find_their_images(described):
    assert recall_of_captions(described) >= 0.85


@pytest.mark.filterwarnings("ignore:lite does not know:imgsearch.errors.TextWarning")
def test_captions_find_their_images_by_the_word_table(described, word_table):
    assert recall_of_captions(described) >= 0.75
