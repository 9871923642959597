"""From class names, captions and a dictionary to the table of words."""

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from imgsearch.encoders.mini.training import texts
from imgsearch.encoders.mini.training.prototypes import Anchors, class_prototypes
from imgsearch.encoders.mini.training.sentences import sentence_vectors
from imgsearch.encoders.mini.training.text import TextLesson
from imgsearch.encoders.mini.training.vocabulary import Vocabulary, vocabulary
from imgsearch.encoders.reduction import Reduction
from imgsearch.types import Matrix

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TextSources:
    """Where texts come from: files, the folder of a sentence encoder, a clone of tiny-imagenet."""

    names: Path
    captions: Path
    sentences: Path
    dictionary: Path
    evaluation: Sequence[Path]


def learn(
    sources: TextSources,
    classifier: Matrix,
    targets: Reduction,
    named: Sequence[tuple[Sequence[str], Matrix]],
    folder: Path,
) -> tuple[Vocabulary, Matrix]:
    """Return the vocabulary and its table of rows.

    `classifier` (c, d) are the teacher's rows for `sources.names`, `targets` the directions that
    images learn; `named` are other names and their places. Sentence vectors are kept in `folder`.
    """
    sentences = kept(sources.sentences, folder)
    names = texts.class_names(sources.names)
    told = [*names, *(name.replace("_", " ") for more, _ in named for name in more)]
    places = [class_prototypes(classifier, targets), *(each for _, each in named)]
    anchors = Anchors(told, sentences(told), np.concatenate(places))
    captions = texts.captions(sources.captions, sources.evaluation)
    known = vocabulary(anchors, captions, texts.dictionary(sources.dictionary), sentences)
    _log.info("%d captions, %d words and phrases", len(captions), len(known.entries))
    lesson = TextLesson(known, captions, anchors.near(sentences(captions)))
    for step, cosine in enumerate(lesson.run()):
        if step % 50 == 0:
            _log.info(json.dumps({"text_step": step, "cosine": round(cosine, 4)}))
    return known, lesson.table


def kept(encoder: Path, folder: Path) -> Callable[[Sequence[str]], Matrix]:
    """Return what makes sentence vectors, and keeps them in `folder` for the next run."""
    import hashlib

    def sentences(told: Sequence[str]) -> Matrix:
        name = hashlib.sha256("\0".join(told).encode()).hexdigest()[:16]
        file = folder / f"{name}.npy"
        if not file.is_file():
            folder.mkdir(parents=True, exist_ok=True)
            part = folder / f".{name}.part.npy"
            np.save(part, sentence_vectors(told, encoder))
            part.replace(file)
        made: Matrix = np.load(file)
        return made

    return sentences
