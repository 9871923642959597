"""Queries other than images of the dataset: names, captions, changed images."""

import json

import numpy as np
import pytest
from typing_extensions import override

from imgsearch import encoders
from imgsearch.datasets.dataset import load as load_dataset
from imgsearch.encoders import Encoder
from imgsearch.errors import DatasetError, TextUnknown, TextUnsupported
from imgsearch.evaluation.evaluator import evaluate
from imgsearch.evaluation.queries import Question, captioned, captions, load_questions, vectors
from imgsearch.evaluation.transforms import TRANSFORMS
from imgsearch.types import Fingerprint
from tests.pictures import write


@pytest.fixture
def labeled(tmp_path):
    write(tmp_path / "set/red_fox", 3)
    write(tmp_path / "set/hund", 2, start=3)
    return load_dataset(tmp_path / "set")


@pytest.fixture
def captions_file(tmp_path):
    write(tmp_path / "told/images", 3)
    names = sorted(path.name for path in (tmp_path / "told/images").iterdir())
    rows = [{"file": f"images/{name}", "captions": [f"caption {name}", "b"]} for name in names]
    file = tmp_path / "told/captions.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)) + "\n\n", encoding="utf-8-sig")
    return file


def test_names_become_texts(labeled):
    assert load_questions(labeled, "names") == [
        Question("hund", text="hund", label="hund"),
        Question("red_fox", text="red fox", label="red_fox"),
    ]


def test_every_original_is_changed_in_every_way(labeled):
    questions = load_questions(labeled, "changes")
    assert len(questions) == 5 * 14
    assert [question.change for question in questions[:14]] == list(TRANSFORMS)
    assert len({question.path for question in questions}) == 5


def test_first_caption_is_the_query_for_its_image(captions_file):
    dataset = captioned(captions_file.parent)
    assert len(dataset.gallery) == 3
    questions = load_questions(dataset, "captions")
    assert [question.text.startswith("caption ") for question in questions] == [True] * 3
    assert [question.path for question in questions] == [str(item.path) for item in dataset.gallery]


@pytest.mark.parametrize(
    ("content", "wrong"),
    [
        (b"{", "line 1"),
        (b'{"file": "a.jpg"}', "line 1"),
        (b'{"file": "a.jpg", "captions": []}', "line 1"),
        (b'{"file": "a.jpg", "captions": ["x"]}\n[1]', "line 2"),
        (b'{"file": "a.jpg", "captions": ["x"]}', "has 1 image;"),
        (b"", "has 0 images"),
        (b"\xff\xfe", "UTF-8"),
    ],
)
def test_invalid_captions_file_raises(tmp_path, content, wrong):
    (tmp_path / "captions.jsonl").write_bytes(content)
    with pytest.raises(DatasetError, match=wrong):
        captions(tmp_path / "captions.jsonl")
    with pytest.raises(DatasetError, match="cannot be read"):
        captions(tmp_path / "none.jsonl")


class Two(Encoder):
    """Embeds texts by their first letter, and images by their mean."""

    fingerprint = Fingerprint("two", 2)
    languages = ("en",)

    @override
    def prepare(self, image):
        return image.mean(axis=(0, 1))

    @override
    def features(self, inputs):
        return np.stack([[pixels.mean() + 1, 100.0] for pixels in inputs]).astype(np.float32)

    @override
    def text_features(self, texts):
        if texts[0] == "x":
            raise TextUnknown("x")
        return np.array([[ord(texts[0][0]), 1.0]], dtype=np.float32)


def test_question_without_a_vector_gives_none(labeled, tmp_path):
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"\x89PNG\r\n\x1a\n")
    questions = [
        Question("a", text="a", label="a"),
        Question("x", text="x", label="x"),
        Question("bad flip", change="flip", path=str(bad)),
        Question("bad grey", change="gray", path=str(bad)),
        Question("well", change="flip", path=str(labeled.gallery[0].path)),
    ]
    results = list(vectors(questions, Two()))
    assert [result is None for result in results] == [False, True, True, True, False]
    np.testing.assert_allclose(results[0], [[97, 1]] / np.hypot(97, 1), rtol=1e-6)


def test_run_over_changes_finds_the_originals(labeled):
    run = evaluate(labeled, queries="changes", model="classic")
    assert run.asked == run.to_dict()["asked"] == "changes"
    assert run.measures.queries == 70
    assert run.measures.metrics["hit@1"] > 0.9


def test_names_without_a_known_word_are_misses_and_noted(tmp_path):
    write(tmp_path / "set/🦊", 2)
    write(tmp_path / "set/dog", 2, start=2)
    run = evaluate(load_dataset(tmp_path / "set"), queries="names")
    assert run.measures.queries == 2
    assert run.hits["🦊"] == []
    assert run.measures.per_query["hit@10"].tolist() == [1.0, 0.0]
    assert any("🦊: no vector to search by" in note for note in run.notes)


def test_text_queries_need_an_encoder_with_texts(labeled, captions_file):
    with pytest.raises(TextUnsupported):
        evaluate(labeled, queries="names", model="classic")
    run = evaluate(captioned(captions_file.parent), queries="captions")
    assert run.measures.queries == 3
    assert run.encoder == encoders.load().fingerprint
