"""The hits of each query, judged with the labels of a dataset."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from imgsearch.backends import Collection
from imgsearch.datasets.dataset import Dataset, Item
from imgsearch.errors import DatasetError
from imgsearch.evaluation.metrics import Ranking
from imgsearch.evaluation.queries import Question
from imgsearch.evaluation.unique_images import UniqueImages
from imgsearch.images.sources import content_id, read
from imgsearch.towhee import Pipeline, Row
from imgsearch.types import Hit, Matrix

_SLICE: Final = 256  # images between two progress reports

OnProgress = Callable[[str, int, int], None]
"""Called with the stage ("index" or "search"), the number of images done, and the total."""

Labels = Mapping[str, frozenset[str]]
"""Classes by gallery id. In a dataset an id has one class, the label of its first file."""


@dataclass(frozen=True)
class Answer:
    """A query's path, id or text, its class, and its hits, nearest first.

    `label` is "" if the query has one relevant image instead of a class. The query itself is not
    among the hits.
    """

    query: str
    label: str
    hits: Sequence[Hit]
    ranking: Ranking


def run_pipeline(
    pipeline: Pipeline, items: Sequence[Item], stage: str, report: OnProgress
) -> tuple[list[tuple[Item, Row]], list[str]]:
    """Run a pipeline on items; return an (item, row) for each success, and the errors.

    Raises:
        DatasetError: every item failed.
    """
    results: list[tuple[Item, Row]] = []
    errors: list[str] = []
    report(stage, 0, len(items))
    for start in range(0, len(items), _SLICE):
        part = items[start : start + _SLICE]
        rows = pipeline.stream([[str(item.path) for item in part]])
        for item, row in zip(part, rows, strict=True):
            if row["error"] is None:
                results.append((item, row))
            else:
                errors.append(str(row["error"]))
        report(stage, min(start + _SLICE, len(items)), len(items))
    if not results:
        raise DatasetError(f"no image of {len(items)} could be used; the first: {errors[:1]}")
    return results, errors


def judge_hits(
    query: str, label: str, own: str, hits: Sequence[Hit], labels: Labels, *, k: int, wanted: int
) -> Answer:
    """Judge the hits of a query image according to its class.

    `own` is the query's id, which is removed from `hits`. `wanted` is the number of gallery images
    in the class, including the query if it is one of them.
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


def judge_image_queries(
    dataset: Dataset,
    results: Sequence[tuple[Item, Row]],
    gallery: Sequence[tuple[Item, Row]],
    unique: UniqueImages,
    k: int,
) -> tuple[list[Answer], int]:
    """Judge the rows of a search pipeline; also count held-out queries that are in the gallery."""
    ids = {item.path: row["id"] for item, row in gallery}
    queries = [
        (item, ids.get(item.path) or content_id(read(str(item.path))), row["hits"])
        for item, row in results
    ]
    leaks = sum(own in unique for _, own, _ in queries) if dataset.held_out else 0
    return judge_class_queries(dataset, queries, unique, k), leaks


def judge_class_queries(
    dataset: Dataset,
    queries: Sequence[tuple[Item, str, Sequence[Hit]]],
    unique: UniqueImages,
    k: int,
) -> list[Answer]:
    """Judge the hits of `queries`, given as (item, content id, hits), according to the class.

    If queries have the same content, only the first is judged. `unique` holds the gallery and
    receives notes about contradictory labels.
    """
    labels = unique.labels()
    sizes = Counter(label for names in labels.values() for label in names)
    unique_queries = UniqueImages(dataset.root)
    answers: list[Answer] = []
    for item, own, hits in queries:
        if dataset.held_out:
            unique.check_query(own, item)
        if unique_queries.add(own, item):
            wanted, path = sizes[item.label], str(item.path)
            answers.append(judge_hits(path, item.label, own, hits, labels, k=k, wanted=wanted))
    if dataset.held_out:
        unique.add_notes(unique_queries)
    return answers


def search_questions(
    questions: Sequence[Question],
    query_vectors: Iterable[Matrix | None],
    collection: Collection,
    ids: Mapping[str, str],
    labels: Labels,
    k: int,
    report: OnProgress,
) -> tuple[list[Answer], list[str]]:
    """Search with each question's vector; also return an error for each missing vector."""
    of_label: dict[str, set[str]] = defaultdict(set)
    for id_, names in labels.items():
        for name in names:
            of_label[name].add(id_)
    answers: list[Answer] = []
    errors: list[str] = []
    for done, (question, vector) in enumerate(zip(questions, query_vectors, strict=True), 1):
        wanted = (
            of_label[question.label]
            if question.label
            else {ids[path] for path in (question.path,) if path in ids}
        )
        hits = [] if vector is None else collection.search(vector, k=k)[0]
        if vector is None:
            errors.append(f"{question.name}: no vector to search by")
        ranking = Ranking(
            query=question.name,
            ids=[hit.id for hit in hits],
            scores=[hit.score for hit in hits],
            relevance=[hit.id in wanted for hit in hits],
            relevant=len(wanted),
        )
        answers.append(Answer(question.name, question.label, hits, ranking))
        report("search", done, len(questions))
    return answers, errors
