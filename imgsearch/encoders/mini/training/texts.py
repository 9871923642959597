"""The texts that `mini` learns from: names of classes, captions, a dictionary's nouns."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from imgsearch.encoders.mini.training.sources import SETS, read
from imgsearch.errors import SourceError

DICTIONARY: Final = "tiny-imagenet-200/words.txt"
"""In the clone of tiny-imagenet: WordNet's nouns, "n01440764<TAB>tench, Tinca tinca" a line."""


def class_names(file: Path) -> list[str]:
    """Return the names of a teacher's classes, a line each, in the order of its classifier.

    A first line "background" is no class.

    Raises:
        SourceError: the file cannot be read.
    """
    lines = [line.strip() for line in _text(file).splitlines() if line.strip()]
    return lines[1:] if lines[:1] == ["background"] else lines


def dictionary(git: Path) -> list[str]:
    """Return the first name of each of WordNet's nouns, sorted, from the clone of tiny-imagenet.

    Raises:
        SourceError: the clone is another repository's.
    """
    named = (name.split(",")[0].strip() for name in _dictionary(git).values())
    return sorted(set(filter(None, named)))


def classes(labels: Sequence[str], git: Path, names: Sequence[str]) -> npt.NDArray[np.int64]:
    """Return which of a teacher's classes labels of tiny-imagenet are, as "n01443537"; else -1.

    They are told by their names in WordNet, whole or the first.

    Raises:
        SourceError: the clone is another repository's.
    """
    whole = {name.casefold(): place for place, name in reversed(list(enumerate(names)))}
    first = {name.split(",")[0]: place for name, place in reversed(whole.items())}
    told = {label: name.casefold() for label, name in _dictionary(git).items()}
    of_label = {
        label: whole.get(told.get(label, ""), first.get(told.get(label, "").split(",")[0], -1))
        for label in set(labels)
    }
    return np.array([of_label[label] for label in labels], dtype=np.int64)


def captions(file: Path, evaluation: Iterable[Path]) -> list[str]:
    """Return captions as COCO publishes them, without those of any image that is for evaluation.

    `evaluation` are folders; their ``captions.jsonl``, where there is one, tells an image's
    captions in each line. An image counts as the same where one of its captions is.

    Raises:
        SourceError: the file cannot be read, or holds something else.
    """
    barred = {_bare(text) for folder in evaluation for text in _told(folder / "captions.jsonl")}
    try:
        rows: list[dict[str, Any]] = json.loads(_text(file))["annotations"]
        pairs = [(row["image_id"], str(row["caption"]).strip()) for row in rows]
    except (ValueError, TypeError, KeyError) as error:
        raise SourceError(f"{file} holds no captions as COCO has them") from error
    seen = {image for image, text in pairs if _bare(text) in barred}
    return sorted({text for image, text in pairs if image not in seen})


def _dictionary(git: Path) -> dict[str, str]:
    lines = read(SETS[0], git, DICTIONARY).decode("utf-8", "replace").splitlines()
    return {label: name for label, _, name in (line.partition("\t") for line in lines) if name}


def _told(file: Path) -> list[str]:
    if not file.is_file():
        return []
    return [text for line in _text(file).splitlines() for text in json.loads(line)["captions"]]


def _bare(text: str) -> str:
    return " ".join(text.casefold().split()).rstrip(".")


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise SourceError(f"{file} cannot be read: {error}", path=str(file)) from error
