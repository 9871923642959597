"""Comparison of two images: their score, whether they show the same picture, and where they differ.

The score compares embeddings, the verdict pixels. Two photographs of one dog have a high score and
are different pictures.
"""

import base64
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike, fsdecode
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from PIL import Image

from imgsearch import encoders, images
from imgsearch.encoders import Encoder
from imgsearch.evaluation.affine import IDENTITY, inside, warp
from imgsearch.evaluation.alignment import Alignment, align
from imgsearch.evaluation.copy_detection import compare_copies
from imgsearch.evaluation.pixel_similarity import EDGE, Verdict
from imgsearch.evaluation.signatures import signatures
from imgsearch.images import objects, sources
from imgsearch.query import Example
from imgsearch.types import Matrix, Pixels

if TYPE_CHECKING:
    from imgsearch.library.library import Library

_APART: Final = (64, 64, 96)  # color of a difference where only one picture has pixels
_VERDICTS: Final[Mapping[Verdict, str]] = {
    "same": "the same picture",
    "different": "different pictures",
    "unclear": "unclear whether both show the same picture",
}


@dataclass(frozen=True, slots=True)
class ImageComparison:
    """How alike two images are.

    `score` is the cosine of their embeddings, in [-1, 1]. `verdict` says whether they show the same
    picture, by their pixels: "same", "different" or "unclear"; `reason` explains it, or is "".
    `threshold` is the library's measured score of near-duplicates, if there is one.

    `correlation`, in [-1, 1], and `overlap`, the share of the first picture's area that the second
    covers, describe the best alignment; both are 0 if no alignment was found.
    `aligned` is the second picture laid over the first, and `difference` the absolute difference of
    both, black where they agree. They are RGB, with the first picture's proportions and at most
    1,024 pixels a side, and None without an alignment.
    """

    score: float
    verdict: Verdict
    reason: str = ""
    threshold: float | None = None
    correlation: float = 0.0
    overlap: float = 0.0
    first: Image.Image | None = field(default=None, repr=False, compare=False)
    aligned: Image.Image | None = field(default=None, repr=False, compare=False)
    difference: Image.Image | None = field(default=None, repr=False, compare=False)

    @property
    def distance(self) -> float:
        """The cosine distance of the embeddings, 1 - `score`, in [0, 2]."""
        return 1 - self.score

    @property
    def near(self) -> bool | None:
        """Whether the score reaches `threshold`; None without one."""
        return None if self.threshold is None else self.score >= self.threshold

    @property
    def sentence(self) -> str:
        """The verdict with its reason."""
        return _VERDICTS[self.verdict] + (f": {self.reason}" if self.reason else "")

    def facts(self) -> dict[str, str]:
        """Return the figures as texts for people."""
        facts = {
            "verdict": self.sentence,
            "score": f"{self.score:.4f} (cosine of the embeddings)",
        }
        if self.threshold is not None:
            near = "near-duplicates" if self.near else "not near-duplicates"
            facts["threshold"] = f"{self.threshold:.4f}, so {near} by score"
        if self.overlap:
            facts["alignment"] = (
                f"{self.overlap:.0%} of A covered by B, correlation {self.correlation:.4f}"
            )
        return facts

    def to_dict(self) -> dict[str, Any]:
        """Return the figures, without the pictures, as JSON-serializable values."""
        names = ("score", "distance", "verdict", "reason", "threshold", "near")
        return {name: getattr(self, name) for name in (*names, "correlation", "overlap")}

    def _repr_html_(self) -> str:
        """Return the three pictures and the figures for notebooks."""
        pictures = (self.first, self.aligned, self.difference)
        row = "".join(f'<img src="{data_url(p)}" height="200"> ' for p in pictures if p)
        text = f"score {self.score:.4f}, {self.verdict}"
        return f"<p>{text}{': ' + self.reason if self.reason else ''}</p>{row}"


def compare_images(
    one: Example,
    other: Example,
    *,
    model: str | Encoder | None = None,
    weights: str | PathLike[str] | None = None,
    options: Mapping[str, Any] | None = None,
    library: "Library | None" = None,
) -> ImageComparison:
    """Compare two images: a path, encoded bytes, a Pillow image or pixels each.

    The embeddings are made by `library`'s encoder, else by `model`, else by the default encoder.
    `weights` and `options` are for a model by name, as in `load_encoder`.

    >>> import numpy as np
    >>> gray = np.full((64, 64, 3), 128, np.uint8)
    >>> comparison = compare_images(gray, gray)
    >>> comparison.verdict, round(comparison.score, 4)
    ('same', 1.0)

    Raises:
        SourceError: a file cannot be read.
        ImageError: a file is not an image, or is refused.
        ConfigError: a value is not an image.
        EncoderError: the encoder cannot be loaded.
    """
    data = file_of(one), file_of(other)
    if library is not None:
        return compare_in_library(*data, library)
    if not isinstance(model, Encoder):
        model = encoders.load(model or encoders.DEFAULT, weights=weights, options=options)
    encoder = model

    def embed(files: Sequence[bytes]) -> Matrix:
        pixels: list[Pixels] = [images.decode(file, at_least=encoder.enough) for file in files]
        return encoder.encode(pixels)

    return compare_files(*data, embed)


def compare_in_library(one: bytes, other: bytes, library: "Library") -> ImageComparison:
    """Compare the bytes of two image files with a library's encoder and threshold.

    Raises:
        ImageError: a file is not an image, or is refused.
        EncoderError: the encoder cannot be loaded.
    """
    kept = library.thresholds.to_dict()["duplicates"] if library.exists() else {}
    return compare_files(one, other, library.embed, threshold=kept.get("threshold"))


def compare_files(
    one: bytes,
    other: bytes,
    embed: Callable[[list[bytes]], Matrix],
    *,
    threshold: float | None = None,
) -> ImageComparison:
    """Compare the bytes of two image files. `embed` returns their embeddings, (2, d), unit length.

    Raises:
        ImageError: a file is not an image, or is refused.
    """
    first, second = (_picture(data) for data in (one, other))
    vectors = embed([one, other]).astype(np.float64)
    known = signatures(np.asarray(first)), signatures(np.asarray(second))
    judged = compare_copies(first, second, known)
    alignments = align(first.convert("L"), second.convert("L"))
    if not alignments and judged.verdict == "same":  # plain pictures have nothing to align
        alignments = [Alignment(IDENTITY, 1.0)]
    best = alignments[0] if alignments else None
    covered = inside(best.map, first.size) if best else np.zeros((1, 1), dtype=np.bool_)
    aligned = warp(second, best.map, first.size) if best else None
    return ImageComparison(
        float(np.clip(vectors[0] @ vectors[1], -1, 1)),
        judged.verdict,
        judged.reason,
        threshold,
        best.correlation if best else 0.0,
        float(covered.mean()),
        first,
        aligned,
        _difference(first, aligned, covered) if aligned else None,
    )


def file_of(image: Example) -> bytes:
    """Return an image as the bytes of a file.

    Raises:
        SourceError: a file cannot be read.
        ConfigError, ImageError: the value is not an image.
    """
    if isinstance(image, str | PathLike):
        return sources.read(fsdecode(image))
    return objects.encoded(image)


def data_url(picture: Image.Image) -> str:
    """Return a picture as a data URL of a PNG file."""
    return f"data:image/png;base64,{base64.b64encode(png(picture)).decode()}"


def png(picture: Image.Image) -> bytes:
    """Return a picture as the bytes of a PNG file."""
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


def _picture(data: bytes) -> Image.Image:
    picture = images.picture(data, at_least=EDGE)
    picture.thumbnail((EDGE, EDGE))
    return picture


def _difference(
    first: Image.Image, aligned: Image.Image, covered: "np.ndarray[Any, np.dtype[np.bool_]]"
) -> Image.Image:
    pixels = np.abs(np.asarray(first, dtype=np.int16) - np.asarray(aligned, dtype=np.int16))
    return Image.fromarray(np.where(covered[..., None], pixels, _APART).astype(np.uint8))
