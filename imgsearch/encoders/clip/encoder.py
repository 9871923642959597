"""Encoders of images and texts in one space: CLIP, SigLIP and their kin, by open_clip.

https://github.com/mlfoundations/open_clip
"""

import logging
import os
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from imgsearch.encoders.base import Encoder
from imgsearch.encoders.clip import model as clip_model
from imgsearch.encoders.export.input import with_pixels
from imgsearch.encoders.preprocessing import OPTIONS, Preprocessing
from imgsearch.encoders.torch.imports import frameworks
from imgsearch.encoders.torch.runner import TorchRun
from imgsearch.encoders.weights import files
from imgsearch.errors import ConfigError
from imgsearch.types import Fingerprint, Matrix, Pixels

_log = logging.getLogger(__name__)
# parts of names of models that learned texts in many languages
_MANY: Final = ("siglip2", "i18n", "xlm", "mt5", "nllb")
# what open_clip's models have where nothing else is said
_MEAN: Final = (0.48145466, 0.4578275, 0.40821073)
_STD: Final = (0.26862954, 0.26130258, 0.27577711)
# what an export is traced and tried with
_SENTENCES: Final = (
    "a dog",
    "Two white cats sleep on a red sofa.",
    "snow",
    "A street at night, 1920",
)


class ClipEncoder(Encoder):
    """An open_clip model's image and text features; in inference mode.

    `name` is ``ARCH/TAG``, or ``ARCH`` with weights. `weights` is a file, or a folder as hubs lay
    it out (see `clip_model.build`). `options`: what `Preprocessing` names goes there; ``device``,
    ``precision`` and ``compile`` are for `TorchRun`; ``templates`` are the sentences that texts are
    put in, each with {}, with | between them. A file ``NAME.json`` beside a file of weights holds
    options that those given here go before. `label`, `defaults` and `offline` as for `TimmEncoder`;
    `languages` are those of the texts, by default told from the model's name.

    Raises:
        MissingExtra: torch, open_clip, tokenizers or ftfy is not installed.
        ModelNotFound: open_clip has no such model.
        ConfigError: an option is unknown or out of its range, or there is no such device.
        WeightsNotFound: no such file; or none given, none cached, and the hub does not answer.
        WeightsInvalid: the file holds no weights, or another model's.
    """

    def __init__(
        self,
        name: str,
        *,
        weights: str | os.PathLike[str] | None = None,
        options: files.Options | None = None,
        label: str = "",
        defaults: files.Options | None = None,
        offline: bool = False,
        languages: Sequence[str] = (),
    ) -> None:
        path = None if weights is None else _located(weights)
        beside = files.sidecar(path) if path and path.is_file() else {}
        chosen = {**files.plain_options(defaults), **beside, **files.plain_options(options)}
        device, precision = chosen.pop("device", "cpu"), chosen.pop("precision", "auto")
        compiled = chosen.pop("compile", False)
        self.templates = _templates(chosen.pop("templates", "{}"))
        pixels = {key: chosen.pop(key) for key in sorted(OPTIONS & set(chosen))}
        if chosen:
            raise ConfigError(f"CLIP models take no option {', '.join(sorted(chosen))}")
        torch = frameworks()[0]
        self._run = TorchRun(device, precision, compiled=compiled)
        self.precision = self._run.precision
        built = self._built(name, path, offline=offline)
        self.languages = tuple(languages) or _languages(name)
        self.tokenizer = built.tokenizer
        own = {"mean": _MEAN, "std": _STD, **built.pixels}
        self.preprocessing = Preprocessing(
            input_size=built.image_size, crop_pct=1.0, **own
        ).override(pixels)
        if self.preprocessing.input_size != built.image_size:
            raise ConfigError(f"input_size is {built.image_size} pixels for this model")
        self.enough = self.preprocessing.enough
        scales = (torch.tensor(each) for each in (self.preprocessing.mean, self.preprocessing.std))
        images, texts = _sides(torch, built.module)
        self._image = self._run.place(with_pixels(images, *scales))
        self._text = self._run.place(texts)
        size = built.image_size
        grey = np.full((1, size, size, 3), 127, dtype=np.uint8)
        self.fingerprint = Fingerprint(
            model=label or f"clip:{name}",
            dim=int(self._run(self._image, grey).shape[1]),
            weights=built.digest,
            preprocessing=self.preprocessing.canonical(),
            templates="|".join(self.templates),
            runtime=f"torch {self.precision}",
        )
        self.offloaded = self._run.offloaded
        self.batch_size = self._run.batch_size(self._image, grey)
        _log.info("built %s on %s", self.fingerprint.model, self._run.device)

    @override
    def prepare(self, image: Pixels) -> npt.NDArray[Any]:
        return self.preprocessing.apply(image)

    @override
    def features(self, inputs: Sequence[npt.NDArray[Any]]) -> Matrix:
        return self._chunked(self._image, np.stack(inputs) if inputs else None, len(inputs))

    @override
    def text_features(self, texts: Sequence[str]) -> Matrix:
        return self._chunked(self._text, self.tokenizer(texts) if texts else None, len(texts))

    def graphs(self) -> dict[str, tuple[Any, Any]]:
        """Return what `exports` writes: "image" and "text" → a module, and an example for it."""
        torch, size = frameworks()[0], self.preprocessing.input_size
        return {
            "image": (self._image, torch.zeros((2, size, size, 3), dtype=torch.uint8)),
            "text": (self._text, torch.from_numpy(self.tokenizer(_SENTENCES))),
        }

    def _built(self, name: str, path: Path | None, *, offline: bool) -> clip_model.ClipModel:
        return clip_model.build(name, path, offline=offline)

    def _chunked(self, model: Any, rows: npt.NDArray[Any] | None, count: int) -> Matrix:
        matrix = np.empty((count, self.dim), dtype=np.float32)
        for start in range(0, count if rows is not None else 0, self.batch_size):
            chunk = slice(start, start + self.batch_size)
            matrix[chunk] = self._run(model, rows[chunk])  # type: ignore[index]
        return matrix


def names(pattern: str = "*") -> list[str]:
    """Return open_clip's ``ARCH/TAG`` that fit a shell pattern, or ``ARCH`` for one without a /.

    Raises:
        MissingExtra, EncoderError: as for `clip_model.open_clip`.
    """
    package = clip_model.open_clip()
    alone = [] if "/" in pattern else package.list_models()
    tagged = (f"{arch}/{tag}" for arch, tag in package.list_pretrained())
    return [name for name in (*alone, *tagged) if fnmatchcase(name, pattern)]


def _located(weights: str | os.PathLike[str]) -> Path:
    folder = Path(weights).expanduser().resolve()
    return folder if folder.is_dir() else files.locate(weights)


def _templates(told: object) -> tuple[str, ...]:
    """Return the sentences, each of which has a place for the text.

    Raises:
        ConfigError: one has none.
    """
    sentences = tuple(each.strip() for each in str(told).split("|"))
    for sentence in sentences:
        if "{}" not in sentence:
            raise ConfigError(f"a template has {{}} in the place of the text, not {sentence!r}")
    return sentences


def _languages(name: str) -> tuple[str, ...]:
    return ("mul",) if any(part in name.lower() for part in _MANY) else ("en",)


def _sides(torch: Any, module: Any) -> tuple[Any, Any]:
    """Return two torch modules of a model: images (n, 3, size, size) and tokens → features."""

    # CoCa's are scaled to unit norm where it is not said
    class Images(torch.nn.Module):  # type: ignore[misc]  # torch is not checked
        def __init__(self) -> None:
            super().__init__()
            self.module = module

        def forward(self, images: Any) -> Any:
            return self.module.encode_image(images, normalize=False)

    class Texts(torch.nn.Module):  # type: ignore[misc]  # torch is not checked
        def __init__(self) -> None:
            super().__init__()
            self.module = module

        def forward(self, tokens: Any) -> Any:
            return self.module.encode_text(tokens, normalize=False)

    return Images(), Texts()
