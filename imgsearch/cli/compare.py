"""compare: compare two images by their embeddings and by their pixels."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from imgsearch import images
from imgsearch.cli import options, show
from imgsearch.errors import ConfigError
from imgsearch.settings import Settings

if TYPE_CHECKING:
    from PIL import Image

    from imgsearch.evaluation.image_comparison import ImageComparison


@click.command()
@click.argument("one", metavar="A")
@click.argument("other", metavar="B")
@options.store
@options.encoder
@options.fields
@click.option(
    "--html",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write a page of both images and their difference to this file.",
)
@click.option(
    "--difference",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the difference of the aligned images to this PNG file; black where they agree.",
)
@options.as_json
def compare(
    one: str,
    other: str,
    db: str | None,
    collection: str,
    html: Path | None,
    difference: Path | None,
    as_json: bool,  # noqa: FBT001 - click passes flags by name
    **config: Any,
) -> None:
    """Compare two images by embeddings and pixels.

    The verdict says whether they show the same picture: scaled, cropped, turned, mirrored or
    compressed copies count as the same. With --db the library's encoder is used, and its measured
    threshold of near-duplicates is shown.
    """
    from imgsearch.evaluation.image_comparison import compare_images, png

    config["options"] = options.parse_options(config["options"])
    if db:
        config["collection"] = collection
        with options.read_library(Settings.from_environment(), db, **config) as library:
            comparison = compare_images(one, other, library=library)
    else:
        options.field_names(config)  # only a library has them
        comparison = compare_images(one, other, **config)
    if difference is not None:
        if comparison.difference is None:
            raise ConfigError(f"no difference was written: {comparison.reason}")
        show.write(difference, png(comparison.difference))
    if html is not None:
        show.write(html, _page(one, other, comparison))
    if as_json:
        show.echo_json({"one": one, "other": other, **comparison.to_dict()})
        return
    show.table(("", ""), list(comparison.facts().items()))
    for file in (difference, html):
        if file is not None:
            show.note(f"{file} written")


def _page(one: str, other: str, comparison: "ImageComparison") -> str:
    from imgsearch.cli.search import thumb
    from imgsearch.report.html import Result, Thumb, Words, results_page

    def picture(image: "Image.Image | None", caption: str) -> list[Thumb]:
        return (
            [] if image is None else [Thumb(images.thumbnail(np.asarray(image), side=400), caption)]
        )

    hits = [
        thumb(other, score=comparison.score),
        *picture(comparison.aligned, "B laid over A"),
        *picture(comparison.difference, "difference"),
    ]
    return results_page(
        "Comparison of two images",
        [Result(thumb(one), hits)],
        facts=comparison.facts(),
        words=Words("A", "B", "pictures", ""),
    )
