"""Encodes queries as vectors."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from imgsearch import encoders, images
from imgsearch.encoders import Encoder, Recipe, unit
from imgsearch.encoders.embedding import model_input
from imgsearch.errors import (
    ConfigError,
    DimensionMismatch,
    EncoderMismatch,
    TextUnsupported,
    VectorInvalid,
)
from imgsearch.images import sources
from imgsearch.query import EncodedQuery, Example, Query, Term
from imgsearch.types import Vector

# Shortest sum, relative to the sum of the weights. An encoder's vectors may differ by 1e-6 from
# batch to batch (tests check this), so a term minus itself leaves a sum without a direction.
_SHORTEST: Final = 1e-5


class QueryEncoder:
    """Encodes queries with an encoder that is loaded when first needed. Thread-safe.

    Without a `recipe` it accepts vectors only. It refuses images with more than `max_pixels`
    decoded pixels.
    """

    def __init__(self, recipe: Recipe | None, *, max_pixels: int = images.MAX_PIXELS) -> None:
        self._recipe, self._max_pixels = recipe, images.checked_limit(max_pixels)
        self._loaded: Encoder | None = None

    def encode(self, query: Query | Example) -> EncodedQuery:
        """Return the query's vector, with its kinds and the warnings about its texts.

        Raises:
            ConfigError, SourceError: as for `Query`; or the terms cancel each other.
            ImageError: an image cannot be used.
            TextUnsupported: the query has a text, and the encoder takes images only.
            TextUnknown: the encoder knows no word of a text.
            EncoderMismatch: the recipe is missing.
            DimensionMismatch, VectorInvalid: a vector does not fit the other terms.
        """
        return self.encode_many([query])[0]

    def encode_many(self, queries: Sequence[Query | Example]) -> list[EncodedQuery]:
        """Return the vectors of several queries, whose texts and images are encoded in batches.

        Raises: as for `encode`, for the first query that fails.
        """
        wholes = [query if isinstance(query, Query) else Query(query) for query in queries]
        for whole in wholes:  # before anything is encoded
            self._script_warnings(whole)
        vectors = iter(self._vectors([term for whole in wholes for term in whole.terms]))
        return [self._encoded(whole, [next(vectors) for _ in whole.terms]) for whole in wholes]

    def _encoded(self, query: Query, vectors: Sequence[Vector]) -> EncodedQuery:
        """Return the query with the vectors of its terms."""
        terms, texts = query.terms, _texts(query)
        encoder = self._encoder() if any(term.kind != "vector" for term in terms) else None
        warnings = self._script_warnings(query)
        if texts and encoder:
            warnings += _word_warnings(texts, encoder)
        single = len(terms) == 1
        return EncodedQuery(
            vectors[0] if single else combined(vectors, [term.weight for term in terms]),
            query.kinds,
            tuple(warnings),
            encoder.fingerprint if encoder else None,
            tuple(str(term.value) for term in terms if term.kind == "text" and term.weight > 0),
        )

    def _script_warnings(self, query: Query) -> list[str]:
        texts = _texts(query)
        return _script_warnings(texts, self._encoder()) if texts else []

    def text_warnings(self, text: str) -> list[str]:
        """Return warnings about the scripts and words in `text` that the encoder does not know.

        Raises:
            TextUnsupported: the encoder takes images only.
        """
        encoder = self._encoder()
        return [*_script_warnings([text], encoder), *_word_warnings([text], encoder)]

    def _vectors(self, terms: Sequence[Term]) -> list[Vector]:
        """Return the vectors of terms, in order."""
        rows: dict[int, Any] = {
            row: term.value for row, term in enumerate(terms) if term.kind == "vector"
        }
        texts = {row: str(term.value) for row, term in enumerate(terms) if term.kind == "text"}
        if texts:
            encoded = self._encoder().encode_texts(list(texts.values()))
            rows |= dict(zip(texts, encoded, strict=True))
        pictures = [row for row, term in enumerate(terms) if term.kind == "image"]
        step = max(1, self._encoder().batch_size) if pictures else 1
        for start in range(0, len(pictures), step):
            part = pictures[start : start + step]
            features = self._encoder().features([self._prepared(terms[row].value) for row in part])
            rows |= dict(zip(part, unit(features), strict=True))
        return [np.ascontiguousarray(rows[row], dtype=np.float32) for row in range(len(terms))]

    def _prepared(self, image: Any) -> Any:
        """Return the model's input for an image term."""
        encoder = self._encoder()
        if isinstance(image, np.ndarray):
            return encoder.prepare(images.checked(image))
        data, path = (image, "") if isinstance(image, bytes) else _file(image)
        return model_input(encoder, data, path, max_pixels=self._max_pixels)

    def _encoder(self) -> Encoder:
        if self._recipe is None:
            raise EncoderMismatch("no encoder is named, so only vectors can be searched for")
        if self._loaded is None:
            self._loaded = encoders.load(**self._recipe.config())
        return self._loaded


def _texts(query: Query) -> list[str]:
    return [str(term.value) for term in query.terms if term.kind == "text"]


def _file(path: Any) -> tuple[bytes, str]:
    return sources.read(path), sources.printable(str(path))


def combined(vectors: Sequence[Vector], weights: Sequence[float]) -> Vector:
    """Normalize `vectors`, and return their weighted sum, scaled to unit L2 norm.

    Raises:
        DimensionMismatch: the vectors have different lengths.
        VectorInvalid: a vector holds NaN, infinity or only zeros.
        ConfigError: the sum is zero.
    """
    sizes = sorted({len(vector) for vector in vectors})
    if len(sizes) > 1:
        raise DimensionMismatch(
            f"the query's terms have vectors of {' and '.join(map(str, sizes))} dimensions. Use "
            "vectors of one encoder.",
            expected=sizes[-1],
            got=sizes[0],
        )
    matrix = np.stack(vectors).astype(np.float64)
    norms = np.linalg.norm(matrix, axis=1, keepdims=True)
    if not (np.isfinite(norms).all() and (norms > 0).all()):
        raise VectorInvalid("invalid vector in the query: it holds NaN, infinity or only zeros.")
    shares = np.asarray(weights, dtype=np.float64) / np.abs(weights).max()
    total = shares @ (matrix / norms)
    length = float(np.linalg.norm(total))
    if length < _SHORTEST * np.abs(shares).sum():
        raise ConfigError("the query's terms cancel each other: their sum is zero. Change a term.")
    return np.ascontiguousarray(total / length, dtype=np.float32)


def _script_warnings(texts: Sequence[str], encoder: Encoder) -> list[str]:
    """Return at most one warning, about scripts that the encoder was not trained on.

    Raises:
        TextUnsupported: the encoder takes images only.
    """
    model = encoder.fingerprint.model
    if not encoder.languages:
        raise TextUnsupported(
            f"{texts[0]!r} is not a file, and the collection's encoder {model!r} takes images only."
            " `imgsearch models` lists encoders of texts, such as clip_vit_b32."
        )
    from imgsearch.encoders.clip.scripts import unknown

    unreadable = {
        script: text for text in reversed(texts) if (script := unknown(text, encoder.languages))
    }
    if not unreadable:
        return []
    scripts = ", ".join(f"{script} ({text!r})" for script, text in unreadable.items())
    languages = ", ".join(encoder.languages)
    return [f"{model} was trained on texts in {languages}, not in {scripts}: the hits mean little"]


def _word_warnings(texts: Sequence[str], encoder: Encoder) -> list[str]:
    """Return at most one warning, about words that the encoder does not know."""
    unknown = dict.fromkeys(word for text in texts for word in encoder.unknown_words(text))
    if not unknown:
        return []
    words = ", ".join(map(repr, unknown))
    return [f"{encoder.fingerprint.model} does not know {words}, and ignores it"]
