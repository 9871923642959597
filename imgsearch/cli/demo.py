"""demo: index, search and evaluate a gallery without any setup."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from imgsearch.cli import figures, options, show
from imgsearch.cli.search import hit_thumb, thumb
from imgsearch.datasets.dataset import Dataset, Item
from imgsearch.report.html import Result, results_page
from imgsearch.settings import Settings
from imgsearch.text import counted

if TYPE_CHECKING:
    from imgsearch.library.models import Recipe

_SHOWN: Final = 12  # queries on the HTML page
_K: Final = 5  # hits per query


@click.command()
@click.option(
    "--dir",
    "folder",
    default="demo",
    show_default=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the store and the page.",
)
@options.encoder
@options.as_json
def demo(folder: Path, as_json: bool, **config: Any) -> None:  # noqa: FBT001 - click's flag
    """Index, search and evaluate a gallery of small pictures.

    The vectors are stored in an embedded Milvus file, and an HTML page shows queries with their
    hits. The gallery is the folder in IMGSEARCH_DATA; if that is not set, data/imagenet-subset if
    it exists; otherwise the gallery of the package, with 24 classes.
    """
    from imgsearch.evaluation.evaluator import evaluate
    from imgsearch.evaluation.options import EvaluationOptions, Target
    from imgsearch.library.models import DEFAULT, Recipe

    weights = None if config["weights"] is None else str(config["weights"])
    recipe = Recipe(config["model"] or DEFAULT, weights, options.parse_options(config["options"]))
    folder.mkdir(parents=True, exist_ok=True)
    with show.progress(hidden=as_json) as bars:
        dataset = _dataset(Settings.from_environment())
        store = str(folder / _name(dataset, recipe))
        run = evaluate(
            dataset,
            model=recipe,
            target=Target(store, "images", index="hnsw"),
            options=EvaluationOptions(on_progress=bars.update),
        )
    page = folder / "index.html"
    encoder = f"{run.encoder.model} ({run.encoder.dim}-d)"
    facts = {
        "gallery": f"{counted(len(dataset.gallery), 'image')} and "
        f"{counted(len(dataset.queries), 'query')}",
        "encoder": encoder,
        "store": f"{store}, an embedded Milvus file",
        **{name: f"{run.measures.metrics[name]:.3f}" for name in ("hit@1", "precision@10")},
    }
    queries = _spread([item for item in dataset.queries if str(item.path) in run.hits])
    results = [_result(item, run.hits[str(item.path)], run.labels) for item in queries]
    show.write(page, results_page("imgsearch demo", results, facts=facts))
    if as_json:
        show.echo_json({**run.to_dict(), "page": str(page), "db": store})
        return
    show.table(
        ("query", "nearest images' classes, best first"),
        [
            (
                item.label,
                ", ".join(_classes(hit, run.labels) for hit in run.hits[str(item.path)][:_K]),
            )
            for item in queries
        ],
    )
    figures.show_measures(run)
    for line in run.notes:
        show.note(f"  {line}")
    show.note(
        f"{counted(len(dataset.gallery), 'image')} indexed in {run.seconds['index']:.1f} s and "
        f"{counted(len(dataset.queries), 'query')} answered in {run.seconds['search']:.1f} s by "
        f"{encoder}.\n"
        f"Look at {page}; then search by an image of your own:\n"
        f"  imgsearch search PICTURE.jpg --db {store}"
    )


def _dataset(settings: Settings) -> Dataset:
    """Load the dataset in IMGSEARCH_DATA, else data/imagenet-subset, else the package's gallery."""
    from imgsearch.datasets import dataset, gallery

    if settings.data is not None:
        return dataset.load(settings.data)
    subset = Path("data/imagenet-subset")
    return dataset.load(subset if subset.is_dir() else gallery.FOLDER)


def _spread(items: Sequence[Item]) -> list[Item]:
    """Return at most `_SHOWN` items, evenly spaced in the list."""
    step = max(1, len(items) / _SHOWN)
    return [items[int(place * step)] for place in range(min(_SHOWN, len(items)))]


def _classes(hit: Any, labels: Any) -> str:
    return "/".join(sorted(labels[hit.id]))


def _result(item: Item, hits: Any, labels: Any) -> Result:
    thumbs = [
        replace(
            hit_thumb(hit, relevant=item.label in labels[hit.id]), caption=_classes(hit, labels)
        )
        for hit in hits[:_K]
    ]
    return Result(replace(thumb(str(item.path)), caption=item.label, title=item.path.name), thumbs)


def _name(dataset: Dataset, recipe: "Recipe") -> str:
    """Return a store file name for a dataset and encoder, without characters that need quoting."""
    words = re.sub(r"[^A-Za-z0-9._-]+", "-", f"{dataset.name}-{recipe.model}")
    identity = f"{dataset.manifest_hash} {recipe.config()}"
    return f"{words}-{hashlib.sha256(identity.encode()).hexdigest()[:6]}.db"
