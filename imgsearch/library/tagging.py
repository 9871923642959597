"""Tags images with labels by their stored vectors: zero-shot classification, without decoding."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Final, Literal

import numpy as np

from imgsearch.backends import Collection
from imgsearch.errors import ConfigError
from imgsearch.filters import Where
from imgsearch.types import SEPARATOR, Matrix, Record, Value, check_score

_BATCH: Final = 500  # records held at once


@dataclass(frozen=True, slots=True)
class Tagging:
    """The result of tagging: the number of images, of tagged and of changed ones.

    `counts` maps each label to its number of images, most frequent first.
    """

    images: int
    tagged: int
    changed: int
    counts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TagRule:
    """Which labels an image gets: those with a score of at least `min_score`, at most `top`."""

    min_score: float | None
    top: int | None

    @classmethod
    def of(
        cls,
        min_score: float | Literal["auto"] | None,
        top: int | None,
        measured: Callable[[], float],
    ) -> "TagRule":
        """Return the rule. "auto" is the threshold that `measured` returns.

        Without a score and a number, the threshold is used.

        Raises:
            ConfigError: a value is invalid, or no threshold was measured.
        """
        if top is not None and (type(top) is not int or top < 1):  # refuses True, too
            raise ConfigError(f"top must be a whole number of labels above 0, not {top!r}")
        if min_score is None and top is not None:
            return cls(None, top)
        if min_score in (None, "auto"):
            try:
                return cls(measured(), top)
            except ConfigError as error:
                raise ConfigError(
                    f"{error} Or tag with the best labels: top=1, --top 1."
                ) from error
        return cls(check_score("min_score", min_score), top)

    def chosen(self, labels: Sequence[str], scores: Matrix) -> str:
        """Return an image's labels as one text, best first. `scores` has shape (labels,)."""
        best = np.argsort(-scores, kind="stable")[: self.top]
        return SEPARATOR.join(
            labels[place]
            for place in best
            if self.min_score is None or scores[place] >= self.min_score
        )


@dataclass(frozen=True, slots=True)
class Tagger:
    """Chooses labels for vectors of images. `vectors` are those of the labels, (labels, d)."""

    labels: Sequence[str]
    vectors: Matrix
    rule: TagRule

    def texts(self, matrix: Matrix) -> list[str]:
        """Return the labels of each vector in (n, d) as one text, best first."""
        scores = matrix @ self.vectors.T / np.linalg.norm(matrix, axis=1, keepdims=True)
        return [self.rule.chosen(self.labels, row) for row in scores]


def counted_values(values: Iterable[Value | None], most: int | None) -> dict[Value, int]:
    """Return the number of each value, most frequent first. Lists count by their items."""
    counts: Counter[Value] = Counter()
    for value in values:
        items = value.split(SEPARATOR) if isinstance(value, str) else [value]
        counts.update(item for item in items if item not in (None, ""))
    return dict(counts.most_common(most))


def checked_labels(labels: Iterable[str]) -> list[str]:
    """Return the labels without blanks around them, each once. A ";" becomes ",".

    Raises:
        ConfigError: the labels are empty, or one is not a text.
    """
    if isinstance(labels, str):
        raise ConfigError(f"labels must be a list of texts, not the text {labels!r}")
    texts = list(labels)
    given: list[object] = [*texts]  # callers without a type checker may pass anything
    if wrong := [label for label in given if not isinstance(label, str)]:
        raise ConfigError(f"a label is a {type(wrong[0]).__name__}: give texts")
    names = dict.fromkeys(label.replace(";", ",").strip() for label in texts)
    names.pop("", None)
    if not names:
        raise ConfigError("there are no labels: give texts such as dog and cat")
    return list(names)


def tag(
    collection: Collection,
    tagger: Tagger,
    *,
    name: str,
    where: Where | None = None,
    dry_run: bool = False,
    on_progress: Callable[[int, int], None] | None = None,
) -> Tagging:
    """Write the labels that `tagger` chooses for each record to a text field.

    Former values of the field are replaced. With `dry_run` nothing is written. `on_progress` is
    called with the number of records done and the total.

    Raises:
        BackendError: the store failed.
    """
    counts: Counter[str] = Counter()
    images = tagged = changed = 0
    total = collection.count(where)
    records = collection.iterate(where=where, batch=_BATCH)
    while batch := list(islice(records, _BATCH)):
        matrix = np.stack([np.asarray(record.vector) for record in batch])
        tags = tagger.texts(matrix)
        for text in filter(None, tags):
            counts.update(text.split(SEPARATOR))
        new: list[Record] = [
            replace(record, fields={**record.fields, name: text})
            for record, text in zip(batch, tags, strict=True)
            if record.fields.get(name, "") != text
        ]
        if new and not dry_run:
            collection.upsert(new)
        images, tagged = images + len(batch), tagged + sum(map(bool, tags))
        changed += len(new)
        if on_progress:
            on_progress(images, total)
    return Tagging(images, tagged, changed, dict(counts.most_common()))
