"""What was found for each query, and how it is judged."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from imgsearch.backends import Collection
from imgsearch.datasets.dataset import Dataset, Item
from imgsearch.errors import DatasetError
from imgsearch.evaluation.contents import Contents
from imgsearch.evaluation.metrics import Ranking
from imgsearch.evaluation.queries import Question
from imgsearch.images.sources import content_id, read
from imgsearch.towhee import Pipeline, Row
from imgsearch.types import Hit, Matrix

_SLICE: Final = 256  # images between two reports of progress

OnProgress = Callable[[str, int, int], None]
"""Called with the stage ("index" or "search"), how many images are done, and of how many."""

Labels = Mapping[str, frozenset[str]]
"""Classes by id of the gallery. Of a dataset each id has one class, from its first file."""


@dataclass(frozen=True)
class Answer:
    """One query: its path, id or words; the class it asks for; what was found, nearest first.

    `label` is "" where one image is asked for. The query itself is not among the hits.
    """

    query: str
    label: str
    hits: Sequence[Hit]
    ranking: Ranking


def walked(
    pipeline: Pipeline, items: Sequence[Item], stage: str, tell: OnProgress
) -> tuple[list[tuple[Item, Row]], list[str]]:
    """Run the items through; return the well ones with their rows, and the others' errors.

    Raises:
        DatasetError: none of the images could be used.
    """
    well: list[tuple[Item, Row]] = []
    failed: list[str] = []
    tell(stage, 0, len(items))
    for start in range(0, len(items), _SLICE):
        part = items[start : start + _SLICE]
        rows = pipeline.stream([[str(item.path) for item in part]])
        for item, row in zip(part, rows, strict=True):
            if row["error"] is None:
                well.append((item, row))
            else:
                failed.append(str(row["error"]))
        tell(stage, min(start + _SLICE, len(items)), len(items))
    if not well:
        raise DatasetError(f"no image of {len(items)} could be used; the first: {failed[:1]}")
    return well, failed


def judged(
    query: str, label: str, own: str, hits: Sequence[Hit], labels: Labels, *, k: int, wanted: int
) -> Answer:
    """Return the answer of an image that asks for its class; `own` is its id, taken out of `hits`.

    `wanted` is how many images of the class the gallery holds, the query itself counted if it is
    there.
    """
    others = [hit for hit in hits if hit.id != own][:k]
    ranking = Ranking(
        query=own,
        ids=[hit.id for hit in others],
        scores=[hit.score for hit in others],
        relevance=[label in labels.get(hit.id, ()) for hit in others],
        relevant=wanted - (label in labels.get(own, ())),
    )
    return Answer(query, label, others, ranking)


def image_answers(
    dataset: Dataset,
    found: Sequence[tuple[Item, Row]],
    gallery: Sequence[tuple[Item, Row]],
    contents: Contents,
    k: int,
) -> tuple[list[Answer], int]:
    """Judge the rows of a search pipeline; count held-out queries that the gallery holds, too."""
    ids = {item.path: row["id"] for item, row in gallery}
    queries = [
        (item, ids.get(item.path) or content_id(read(str(item.path))), row["hits"])
        for item, row in found
    ]
    leaks = sum(own in contents for _, own, _ in queries) if dataset.held_out else 0
    return class_answers(dataset, queries, contents, k), leaks


def class_answers(
    dataset: Dataset,
    queries: Sequence[tuple[Item, str, Sequence[Hit]]],
    contents: Contents,
    k: int,
) -> list[Answer]:
    """Judge the hits of `queries`, (item, content's id, hits), by the query's class.

    Of queries with the same content only the first is judged. `contents` holds the gallery and
    receives notes about labels that contradict each other.
    """
    labels = contents.labels()
    sizes = Counter(label for names in labels.values() for label in names)
    query_contents = Contents(dataset.root)
    answers: list[Answer] = []
    for item, own, hits in queries:
        if dataset.held_out:
            contents.check_query(own, item)
        if query_contents.add(own, item):
            wanted, place = sizes[item.label], str(item.path)
            answers.append(judged(place, item.label, own, hits, labels, k=k, wanted=wanted))
    if dataset.held_out:
        contents.join(query_contents)
    return answers


def question_answers(
    asked: Sequence[Question],
    query_vectors: Iterable[Matrix | None],
    collection: Collection,
    ids: Mapping[str, str],
    labels: Labels,
    k: int,
    tell: OnProgress,
) -> tuple[list[Answer], list[str]]:
    """Search for each question by its vector; list the questions without one."""
    of_label: dict[str, set[str]] = defaultdict(set)
    for id_, names in labels.items():
        for name in names:
            of_label[name].add(id_)
    answers: list[Answer] = []
    lost: list[str] = []
    for place, (question, vector) in enumerate(zip(asked, query_vectors, strict=True), 1):
        wanted = (
            of_label[question.label]
            if question.label
            else {ids[path] for path in (question.path,) if path in ids}
        )
        found = [] if vector is None else collection.search(vector, k=k)[0]
        if vector is None:
            lost.append(f"{question.name}: nothing to search by")
        ranking = Ranking(
            query=question.name,
            ids=[hit.id for hit in found],
            scores=[hit.score for hit in found],
            relevance=[hit.id in wanted for hit in found],
            relevant=len(wanted),
        )
        answers.append(Answer(question.name, question.label, found, ranking))
        tell("search", place, len(asked))
    return answers, lost
