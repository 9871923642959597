"""Encodes queries as vectors."""

import threading
import warnings
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from imgsearch import encoders, images
from imgsearch.backends import Collection
from imgsearch.backends.collection import unnamed_encoder_error
from imgsearch.encoders import Encoder, Recipe, unit
from imgsearch.errors import (
    ConfigError,
    DimensionMismatch,
    EncoderWarning,
    TextUnsupported,
    TextWarning,
    VectorInvalid,
)
from imgsearch.images import sources
from imgsearch.library.embedding import model_input
from imgsearch.library.query import Example, Query, Term
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
        self.recipe, self._max_pixels = recipe, images.checked_limit(max_pixels)
        self._lock = threading.Lock()
        self._encoder: Encoder | None = None
        self._checked: Collection | None = None

    def encode(
        self,
        query: Query | Example,
        collection: Collection | None,
        on_warning: Callable[[str], None] | None = None,
    ) -> Vector:
        """Return the query's vector, float32 (d,), for a search in `collection`.

        Warns with `TextWarning` about texts that the model cannot read, and with `EncoderWarning`
        if the collection does not record which encoder made its vectors. `on_warning`, if given, is
        called with each message instead.

        Raises:
            ConfigError, SourceError: as for `Query`; or the terms cancel each other.
            ImageError: an image cannot be used.
            TextUnsupported: the query has a text, and the encoder takes images only.
            TextUnknown: the encoder knows no word of a text.
            EncoderMismatch: another encoder made the collection, or the recipe is missing.
            DimensionMismatch, VectorInvalid: a vector does not fit the other terms.
        """
        terms = (query if isinstance(query, Query) else Query(query)).terms
        texts = [str(term.value) for term in terms if term.kind == "text"]
        if any(term.kind != "vector" for term in terms):
            encoder = self._ready(collection)
            _check_origin(collection, encoder.fingerprint.model, on_warning)
            for text in _script_warnings(texts, encoder) if texts else ():
                (on_warning or _warn)(text)
        vectors = [
            np.ascontiguousarray(term.value, dtype=np.float32)
            if term.kind == "vector"
            else self._vector(term, collection)
            for term in terms
        ]
        # after encoding, because a text that has only unknown words is an error
        for text in _word_warnings(texts, self._ready(collection)) if texts else ():
            (on_warning or _warn)(text)
        return vectors[0] if len(terms) == 1 else combined(vectors, [term.weight for term in terms])

    def text_warnings(self, text: str) -> list[str]:
        """Return warnings about the scripts and words in `text` that the encoder does not know.

        Raises:
            TextUnsupported: the encoder takes images only.
        """
        encoder = self._ready(None)
        return [*_script_warnings([text], encoder), *_word_warnings([text], encoder)]

    def _vector(self, term: Term, collection: Collection | None) -> Vector:
        """Return the vector of a text or an image."""
        encoder, value = self._ready(collection), term.value
        if term.kind == "text":
            return np.ascontiguousarray(encoder.encode_texts([str(value)])[0])
        if isinstance(value, np.ndarray):
            ready = encoder.prepare(images.checked(value))
        else:
            data, path = (value, "") if isinstance(value, bytes) else _file(value)
            ready = model_input(encoder, data, path, max_pixels=self._max_pixels)
        return np.ascontiguousarray(unit(encoder.features([ready]))[0])

    def _ready(self, collection: Collection | None) -> Encoder:
        with self._lock:
            if self.recipe is None:
                raise unnamed_encoder_error(collection)
            encoder = self._encoder or encoders.load(**self.recipe.config())
            if collection is not None and collection is not self._checked:
                collection.require(encoder.fingerprint)
                self._checked = collection
            self._encoder = encoder
            return encoder


def _check_origin(
    collection: Collection | None, model: str, on_warning: Callable[[str], None] | None
) -> None:
    """Warn if the collection does not record which encoder made its vectors."""
    text = collection.encoder_warning(model) if collection is not None else ""
    if text and on_warning:
        on_warning(text)
    elif text:
        # stacklevel 4: the caller of Library.search or Library.encode
        warnings.warn(text, EncoderWarning, stacklevel=4)


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


def _warn(text: str) -> None:
    # stacklevel 4: the caller of Library.search or Library.encode
    warnings.warn(text, TextWarning, stacklevel=4)
