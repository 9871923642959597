"""The default encoder reaches its documented minimum figures on real photographs. The photographs

are stored beside the project; lite's network was very probably trained on the ImageNet subset.
"""

import csv
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


@pytest.fixture(scope="module", params=[pytest.param(1, marks=pytest.mark.nightly), 2])
def classes(request, tmp_path_factory):
    """Return a library of ten images for every class or every second class, and the classes."""
    names = sorted(path.name for path in (SUBSET / "train").iterdir())[:: request.param]
    listed = tmp_path_factory.mktemp("classes") / "list.csv"
    with listed.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["path", "label"])
        rows.writerows(
            [path, name] for name in names for path in (SUBSET / "train" / name).iterdir()
        )
    with imgsearch.open(f"memory://{uuid.uuid4().hex}") as library:
        assert library.add(listed).added == 10 * len(names)
        yield library, names


@pytest.fixture(scope="module", params=[pytest.param(1, marks=pytest.mark.nightly), 2])
def described(request):
    """Return a library of 157 images with captions, and every caption or every second one."""
    questions = load_questions(captioned(CAPTIONS), "captions")
    assert len(questions) == 157
    with imgsearch.open(f"memory://{uuid.uuid4().hex}") as library:
        library.add(CAPTIONS / "images")
        yield library, questions[:: request.param]


def right(library, queries):
    """Return whether the ten hits of each (query, label) have the label, (n, 10)."""
    return np.array([
        [hit.fields["label"] == label for hit in library.search(query, k=10)]
        for query, label in queries
    ])  # fmt: skip


def recall_of_captions(described):
    """Return the share of first captions with their image among ten hits."""
    library, questions = described
    return np.mean([
        Path(question.path).name  # not the whole path: the folder may be a link
        in [Path(hit.fields["path"]).name for hit in library.search(question.text, k=10)]
        for question in questions
    ])  # fmt: skip


def test_images_find_images_of_their_class(classes):
    library, names = classes
    queries = [(path, name) for name in names for path in (SUBSET / "test" / name).iterdir()]
    hits = right(library, queries)
    assert hits.shape == (len(names), 10)
    assert hits.mean() >= 0.85
    assert hits[:, 0].mean() >= 0.9


def right_by_name(classes):
    """Return the share of hits with the label whose name is the query."""
    library, names = classes
    return right(library, [(name.replace("_", " "), name) for name in names]).mean()


@needs_sentences
def test_class_names_find_their_images(classes):
    assert right_by_name(classes) >= 0.9


def test_class_names_find_their_images_by_the_word_table(classes, word_table):
    assert right_by_name(classes) >= 0.7


@needs_sentences
def test_captions_find_their_images(described):
    assert recall_of_captions(described) >= 0.85


@pytest.mark.filterwarnings("ignore:lite does not know:imgsearch.errors.TextWarning")
def test_captions_find_their_images_by_the_word_table(described, word_table):
    assert recall_of_captions(described) >= 0.75
