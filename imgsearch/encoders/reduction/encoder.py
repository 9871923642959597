"""Encoders with reduced vectors."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy.typing as npt
from typing_extensions import override

from imgsearch.encoders.base import Encoder, unit
from imgsearch.encoders.reduction.fit import Reduction
from imgsearch.types import Matrix, Pixels


class ReducedEncoder(Encoder):
    """An encoder with reduced vectors: (unit vector - mean) @ matrix, scaled to unit norm."""

    def __init__(self, encoder: Encoder, reduction: Reduction) -> None:
        """Combine an encoder with a reduction that was fitted for it.

        Raises:
            EncoderMismatch: the reduction was fitted for another encoder.
            ConfigError: the encoder's vectors are already reduced.
        """
        reduction.require(encoder.fingerprint)
        self._encoder, self._reduction = encoder, reduction
        self.fingerprint = replace(
            encoder.fingerprint, dim=reduction.dim, reduction=reduction.digest
        )
        self.batch_size, self.enough = encoder.batch_size, encoder.enough
        self.offloaded = encoder.offloaded
        self.languages, self.templates = encoder.languages, encoder.templates

    @override
    def prepare(self, image: Pixels) -> npt.NDArray[Any]:
        return self._encoder.prepare(image)

    @override
    def features(self, inputs: Sequence[npt.NDArray[Any]]) -> Matrix:
        return self._reduction.apply(unit(self._encoder.features(inputs)))

    @override
    def text_features(self, texts: Sequence[str]) -> Matrix:
        return self._reduction.apply(unit(self._encoder.text_features(texts)))

    @override
    def load_side(self, kind: str) -> None:
        self._encoder.load_side(kind)

    @override
    def unknown_words(self, text: str) -> tuple[str, ...]:
        return self._encoder.unknown_words(text)
