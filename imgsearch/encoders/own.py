"""Encoders of a user's own: any object that turns images into vectors."""

from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import replace
from typing import Any, Final, Protocol, TypeVar, runtime_checkable

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from imgsearch.encoders.base import Encoder
from imgsearch.errors import ConfigError, EncoderError, ImgSearchError, TextUnsupported
from imgsearch.types import Fingerprint, Matrix, Pixels

_MOST_DIM: Final = 32_768  # of a vector in Milvus
_MOST_SIZE: Final = 65_535  # pixels of an edge, or images in a call; far above any model's
T = TypeVar("T")


@runtime_checkable
class ImageModel(Protocol):
    """The interface of an encoder.

    `name` and `version` are its identity: vectors of equal ones are compared, so change `version`
    with the weights or the preprocessing. `dim` is the length of the vectors. These are optional:

    - ``encode_texts(texts)`` returns the vectors of texts, in the space of the images
    - ``languages``: the languages of the texts, such as ``("en",)``; ``("mul",)`` by default
    - ``size``: the length of the shorter edge in pixels that the model needs. Larger JPEGs are then
      decoded at a smaller scale, but not smaller than this. Without it images have full size.
    - ``batch_size``: images in a call of `encode_images`, 32 by default

    >>> class Brightness:
    ...     name, version, dim = "brightness", "1", 2
    ...
    ...     def encode_images(self, images):
    ...         return [[image.mean(), 255.0] for image in images]
    >>> isinstance(Brightness(), ImageModel)
    True
    """

    name: str
    version: str
    dim: int

    def encode_images(self, images: Sequence[Pixels], /) -> Any:
        """Return the vectors of n images, (n, dim), which need not have unit length.

        The images are uint8 (height, width, 3), RGB, of any sizes. It may be called in several
        threads at the same time.
        """
        ...


def as_encoder(value: object, model: str) -> Encoder:
    """Return an encoder, whose fingerprint names `model`, for an object of a user.

    Raises:
        ConfigError: it is neither an `Encoder` with a fingerprint nor an `ImageModel`.
    """
    if isinstance(value, Encoder):
        if getattr(value, "fingerprint", None) is None:
            raise ConfigError(f"the encoder {model!r} has no fingerprint: set a Fingerprint")
        named = copy(value)  # the caller and imgsearch's cache keep theirs with its name
        named.fingerprint = replace(value.fingerprint, model=model)
        return named
    if isinstance(value, type) or not isinstance(value, ImageModel):
        raise ConfigError(
            f"{type(value).__name__} {model!r} is not an encoder: it needs name, version, dim and "
            "encode_images, or must be an imgsearch.Encoder"
        )
    return _OwnEncoder(value, model)


class _OwnEncoder(Encoder):
    """The encoder of an `ImageModel`. Its errors become `EncoderError`."""

    def __init__(self, model: ImageModel, name: str) -> None:
        dim = _number(name, "dim", model.dim, 1, _MOST_DIM)
        self._model = model
        self._texts: Callable[[Sequence[str]], Any] | None = getattr(model, "encode_texts", None)
        self.enough = _number(name, "size", getattr(model, "size", 0), 0)
        self.batch_size = _number(name, "batch_size", getattr(model, "batch_size", 32), 1)
        if self._texts is not None:
            self.languages = tuple(getattr(model, "languages", ("mul",)))
        preprocessing = f"size={self.enough}" if self.enough else ""
        self.fingerprint = Fingerprint(name, dim, str(model.version), preprocessing)

    @override
    def prepare(self, image: Any) -> npt.NDArray[Any]:
        return np.array(image, dtype=np.uint8)  # a copy: torch warns of arrays that are read-only

    @override
    def features(self, inputs: Sequence[npt.NDArray[Any]]) -> Matrix:
        return self._vectors(self._model.encode_images, list(inputs), "images")

    @override
    def text_features(self, texts: Sequence[str]) -> Matrix:
        if self._texts is None:
            raise TextUnsupported(f"{self.fingerprint.model} takes images only: no encode_texts")
        return self._vectors(self._texts, list(texts), "texts")

    def _vectors(self, encode: Callable[[list[T]], Any], inputs: list[T], kind: str) -> Matrix:
        name, expected = self.fingerprint.model, (len(inputs), self.dim)
        try:
            vectors = np.asarray(encode(inputs), dtype=np.float32)
        except ImgSearchError:
            raise
        except Exception as error:
            raise EncoderError(f"{name}: {type(error).__name__}: {error}") from error
        if vectors.shape != expected:
            raise EncoderError(
                f"{name} returned {vectors.shape} for {len(inputs)} {kind}, not {expected}"
            )
        return vectors


def _number(model: str, attribute: str, value: Any, least: int, most: int = _MOST_SIZE) -> int:
    if type(value) is bool or not isinstance(value, int | np.integer) or not least <= value <= most:
        raise ConfigError(
            f"the encoder {model!r} has the {attribute} {value!r}: use {least} to {most:,}"
        )
    return int(value)
