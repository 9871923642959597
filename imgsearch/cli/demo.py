"""demo: search your photos, or a gallery, without any setup, and show it on a page."""

import hashlib
import re
import shlex
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from imgsearch.cli import figures, options, show
from imgsearch.cli.search import hit_thumb, thumb
from imgsearch.datasets.dataset import Dataset, Item
from imgsearch.errors import SourceError
from imgsearch.report.html import Result, ResultGroup
from imgsearch.settings import Settings
from imgsearch.text import counted

if TYPE_CHECKING:
    from imgsearch.evaluation.run import Run
    from imgsearch.evaluation.walkthrough import Walkthrough
    from imgsearch.library.library import Library
    from imgsearch.library.models import Recipe

_SHOWN: Final = 12  # queries on the HTML page
_K: Final = 5  # hits per query


@dataclass(frozen=True, slots=True)
class _Place:
    """The demo's folder with its page and the store, whose name tells images and encoder apart."""

    folder: Path
    recipe: "Recipe"

    @property
    def page(self) -> Path:
        return self.folder / "index.html"

    def store(self, name: str, identity: str) -> str:
        words = re.sub(r"[^A-Za-z0-9._-]+", "-", f"{name}-{self.recipe.model}").strip("-")
        digest = hashlib.sha256(f"{identity} {self.recipe.config()}".encode()).hexdigest()
        return str(self.folder / f"{words}-{digest[:6]}.db")


@click.command()
@click.argument("photos", type=click.Path(exists=True, path_type=Path), required=False)
@click.option(
    "--dir",
    "folder",
    default="demo",
    show_default=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the store and the page.",
)
@click.option(
    "--most",
    default=1_000,
    show_default=True,
    type=click.IntRange(1),
    metavar="N",
    help="Largest number of images of PHOTOS.",
)
@options.encoder
@options.as_json
def demo(
    photos: Path | None,
    folder: Path,
    most: int,
    as_json: bool,  # noqa: FBT001 - click's flag
    **config: Any,
) -> None:
    """Search your photos, or a gallery, and write a page.

    PHOTOS is a folder of yours, or a list; labels are not needed. The page shows the nearest others
    of a dozen images, searches by text, near-duplicates and a map. The vectors are stored in an
    embedded Milvus file; the photos are only read.

    Without PHOTOS a labeled gallery is searched and evaluated: the folder in IMGSEARCH_DATA; if
    that is not set, data/imagenet-subset if it exists; otherwise the gallery of the package, with
    24 classes of drawn pictures.
    """
    from imgsearch.library.models import DEFAULT, Recipe

    weights = None if config["weights"] is None else str(config["weights"])
    recipe = Recipe(config["model"] or DEFAULT, weights, options.parse_options(config["options"]))
    folder.mkdir(parents=True, exist_ok=True)
    if photos is None:
        _labeled(_Place(folder, recipe), as_json=as_json)
    else:
        _own(photos, most, _Place(folder, recipe), as_json=as_json)


def _own(photos: Path, most: int, place: _Place, *, as_json: bool) -> None:
    """Add photos of the user to a store, and write the page."""
    import imgsearch
    from imgsearch.report import walkthrough as report

    path = photos.absolute()
    store = place.store(path.name, str(path))
    recipe = place.recipe
    rows = list(islice(_rows(path), most + 1))
    if not rows:
        raise SourceError(f"no images in {path}")
    with imgsearch.open(
        store, model=recipe.model, weights=recipe.weights, options=recipe.options
    ) as library:
        added = library.add(rows[:most], progress=False if as_json else None)
        with show.progress(hidden=as_json) as bars:
            walk = _walk(library, bars.update)
    encoder = f"{recipe.model} ({len(_vector(walk))}-d)"
    which = f"the first {most:,}" if len(rows) > most else f"all {walk.images:,}"
    page = report.page(
        "Your photos",
        walk,
        lead=f"Photos of {path}: {which} images. The files were only read.",
        facts={
            "images": f"{walk.images:,}",
            "encoder": encoder,
            "store": f"{store}, an embedded Milvus file",
        },
        next_commands=_next(store, walk),
    )
    show.write(place.page, page)
    if as_json:
        show.echo_json(_to_json(walk, failed=len(added.failures), page=place.page, db=store))
        return
    show.failures(added.failures, len(added.failures), None)
    show.note(
        f"Searched {counted(walk.images, 'image')} by {encoder}; "
        f"{counted(len(added.failures), 'file')} failed.\nLook at {place.page}; then:"
    )
    for line in _next(store, walk):
        show.note(f"  {line}")


def _rows(path: Path) -> Iterator[dict[str, str]]:
    from imgsearch.images.sources import references

    for reference in references(path):
        yield {"path": str(reference.path), "label": reference.label or ""}


def _walk(library: "Library", on_progress: Any, texts: Sequence[str] = ()) -> "Walkthrough":
    from imgsearch.evaluation.walkthrough import walkthrough

    return walkthrough(library, queries=_SHOWN, texts=texts, k=_K, on_progress=on_progress)


def _vector(walk: "Walkthrough") -> Any:
    return walk.neighbors[0][0].vector


def _program() -> str:
    """Return the command that starts imgsearch in the user's shell."""
    if shutil.which("imgsearch"):
        return "imgsearch"
    script = Path(sys.executable).with_name("imgsearch")
    if not script.exists():
        return f"{shlex.quote(sys.executable)} -m imgsearch"
    near = script.is_relative_to(Path.cwd())
    return shlex.quote(str(script.relative_to(Path.cwd()) if near else script))


def _next(store: str, walk: "Walkthrough") -> list[str]:
    """Return commands for the store of the demo."""
    db, program = shlex.quote(store), _program()
    path = shlex.quote(str(walk.neighbors[0][0].fields.get("path", "cat.jpg")))
    text = walk.texts[0][0] if walk.texts else ""
    return [
        *([f'{program} search "{text}" --db {db} --html hits.html --open'] if text else []),
        f"{program} search {path} --db {db}",
        f"{program} dedup --db {db} --html groups.html",
        f"{program} info --db {db}",
    ]


def _to_json(walk: "Walkthrough", *, failed: int, page: Path, db: str) -> dict[str, Any]:
    return {
        "images": walk.images,
        "failed": failed,
        "searches": [
            {"query": str(record.fields.get("path", "")), "hits": [hit.path for hit in hits]}
            for record, hits in walk.neighbors
        ],
        "texts": [{"text": text, "hits": [hit.path for hit in hits]} for text, hits in walk.texts],
        "near_duplicates": sum(len(group.others) for group in walk.duplicates.groups),
        "page": str(page),
        "db": db,
    }


def _labeled(place: _Place, *, as_json: bool) -> None:
    """Index, search and evaluate a labeled gallery, and write the page."""
    import imgsearch
    from imgsearch.evaluation.evaluator import evaluate
    from imgsearch.evaluation.options import EvaluationOptions, Target
    from imgsearch.library.data_frames import require_pandas
    from imgsearch.report import walkthrough as report

    require_pandas()
    recipe = place.recipe
    with show.progress(hidden=as_json) as bars:
        dataset, lead = _dataset(Settings.from_environment())
        store = place.store(dataset.name, dataset.manifest_hash)
        run = evaluate(
            dataset,
            model=recipe,
            target=Target(store, "images", index="hnsw"),
            options=EvaluationOptions(on_progress=bars.update),
        )
        queries = _spread([item for item in dataset.queries if str(item.path) in run.hits])
        names = sorted({item.label for item in dataset.queries})
        with imgsearch.open(store) as library:
            walk = _walk(library, bars.update, [_words(name) for name in names])
    encoder = f"{run.encoder.model} ({run.encoder.dim}-d)"
    facts = {
        "gallery": f"{counted(len(dataset.gallery), 'image')} and "
        f"{counted(len(dataset.queries), 'query')}",
        "encoder": encoder,
        "store": f"{store}, an embedded Milvus file",
        **{name: f"{run.measures.metrics[name]:.3f}" for name in ("hit@1", "precision@10")},
    }
    images = ResultGroup(
        "Searches by image",
        [_result(item, run.hits[str(item.path)], run.labels) for item in queries],
        f"{len(queries)} of {counted(len(dataset.queries), 'query')}, spread evenly; the figures "
        "above are of all. A hit is relevant if it has the query's label.",
    )
    page = report.page(
        "imgsearch demo",
        walk,
        lead=lead,
        facts=facts,
        next_commands=[*_next(store, walk), "make demo PHOTOS=~/Pictures   # your own images"],
        images=images,
        labels=run.labels,
    )
    show.write(place.page, page)
    if as_json:
        show.echo_json({**run.to_dict(), "page": str(place.page), "db": store})
        return
    _print_run(run, queries)
    show.note(
        f"{counted(len(dataset.gallery), 'image')} indexed in {run.seconds['index']:.1f} s and "
        f"{counted(len(dataset.queries), 'query')} answered in {run.seconds['search']:.1f} s by "
        f"{encoder}.\n"
        f"Look at {place.page}; then search by an image of your own:\n"
        f"  {_program()} search PICTURE.jpg --db {store}\n"
        "or see your own photos: make demo PHOTOS=~/Pictures"
    )


def _print_run(run: "Run", queries: Sequence[Item]) -> None:
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


def _dataset(settings: Settings) -> tuple[Dataset, str]:
    """Return the labeled dataset, and the sentence that says which images it has.

    It is the dataset in IMGSEARCH_DATA, else data/imagenet-subset, else the package's gallery.
    """
    from imgsearch.datasets import dataset, gallery

    folder, subset = settings.data, Path("data/imagenet-subset")
    if not folder and subset.is_dir():
        folder = subset
    if folder is not None:
        loaded = dataset.load(folder)
        return loaded, f"Labeled images of {Path(folder).absolute()}."
    return dataset.load(gallery.FOLDER), (
        "These pictures are drawn by a program, so the answers look better than on photographs. "
        "make demo PHOTOS=~/Pictures shows your own."
    )


def _words(name: str) -> str:
    """Return a class's name as a text: `brick_wall` becomes "brick wall"."""
    return re.sub(r"[_\s]+", " ", name).strip()


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
