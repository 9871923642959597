"""Image and text encoders of open_clip: CLIP, SigLIP and similar models.

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
from imgsearch.encoders.torch.runner import TorchRunner
from imgsearch.encoders.weights import files
from imgsearch.errors import ConfigError
from imgsearch.types import Fingerprint, Matrix, Pixels

_log = logging.getLogger(__name__)
# parts of the names of multilingual models
_MANY: Final = ("siglip2", "i18n", "xlm", "mt5", "nllb")
# defaults of open_clip's models
_MEAN: Final = (0.48145466, 0.4578275, 0.40821073)
_STD: Final = (0.26862954, 0.26130258, 0.27577711)
# samples for tracing and measuring an export
_SENTENCES: Final = (
    "a dog",
    "Two white cats sleep on a red sofa.",
    "snow",
    "A street at night, 1920",
)


class ClipEncoder(Encoder):
    """The image and text features of an open_clip model.

    `name` is ``ARCH/TAG``, or ``ARCH`` if `weights` are given. `weights` is a file, or a folder in
    the Hugging Face Hub layout (see `clip.model.build`). `options` may have the fields of
    `Preprocessing`; ``device``, ``precision`` and ``compile`` for `TorchRunner`; and ``templates``,
    sentences with {} for a text, separated by |. A file ``NAME.json`` beside the weights has
    further options, which `options` override. `label`, `defaults` and `offline` are as in
    `TimmEncoder`. The default of `languages` is derived from the model's name.

    Raises:
        MissingExtra: torch, open_clip, tokenizers or ftfy is not installed.
        ModelNotFound: open_clip does not have the model.
        ConfigError: an option is unknown or out of range, or the device does not exist.
        WeightsNotFound: the file is missing; or no file is given or cached, and no hub responds.
        WeightsInvalid: the file has no weights, or weights of another model.
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
        path = None if weights is None else _locate(weights)
        sidecar = files.sidecar(path) if path and path.is_file() else {}
        remaining = {**files.plain_options(defaults), **sidecar, **files.plain_options(options)}
        device, precision = remaining.pop("device", "cpu"), remaining.pop("precision", "auto")
        compiled = remaining.pop("compile", False)
        self.templates = _parse_templates(remaining.pop("templates", "{}"))
        pixels = {key: remaining.pop(key) for key in sorted(OPTIONS & set(remaining))}
        if remaining:
            raise ConfigError(f"CLIP models take no option {', '.join(sorted(remaining))}")
        torch = frameworks()[0]
        self._run = TorchRunner(device, precision, compiled=compiled)
        self.precision = self._run.precision
        built = self._build(name, path, offline=offline)
        self.languages = tuple(languages) or _languages(name)
        self.tokenizer = built.tokenizer
        own = {"mean": _MEAN, "std": _STD, **built.pixels}
        self.preprocessing = Preprocessing(
            input_size=built.image_size, crop_pct=1.0, **own
        ).override(pixels)
        if self.preprocessing.input_size != built.image_size:
            raise ConfigError(f"input_size must be {built.image_size} pixels for this model")
        self.enough = self.preprocessing.enough
        mean, std = self.preprocessing.mean, self.preprocessing.std
        images, texts = _sides(torch, built.module)
        self._image = self._run.place(with_pixels(images, torch.tensor(mean), torch.tensor(std)))
        self._text = self._run.place(texts)
        size = built.image_size
        gray = np.full((1, size, size, 3), 127, dtype=np.uint8)
        self.fingerprint = Fingerprint(
            model=label or f"clip:{name}",
            dim=int(self._run(self._image, gray).shape[1]),
            weights=built.digest,
            preprocessing=self.preprocessing.canonical(),
            templates="|".join(self.templates),
            runtime=f"torch {self.precision}",
        )
        self.offloaded = self._run.offloaded
        self.batch_size = self._run.batch_size(self._image, gray)
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
        """Return the modules to export, "image" and "text", each with an example input."""
        torch, size = frameworks()[0], self.preprocessing.input_size
        return {
            "image": (self._image, torch.zeros((2, size, size, 3), dtype=torch.uint8)),
            "text": (self._text, torch.from_numpy(self.tokenizer(_SENTENCES))),
        }

    def _build(self, name: str, path: Path | None, *, offline: bool) -> clip_model.ClipModel:
        return clip_model.build(name, path, offline=offline)

    def _chunked(self, model: Any, rows: npt.NDArray[Any] | None, count: int) -> Matrix:
        matrix = np.empty((count, self.dim), dtype=np.float32)
        for start in range(0, count if rows is not None else 0, self.batch_size):
            chunk = slice(start, start + self.batch_size)
            matrix[chunk] = self._run(model, rows[chunk])  # type: ignore[index]
        return matrix


def names(pattern: str = "*") -> list[str]:
    """Return open_clip's names that match a shell pattern.

    They are ``ARCH/TAG``, and also ``ARCH`` if the pattern has no slash.

    Raises:
        MissingExtra, EncoderError: see `clip.model.open_clip`.
    """
    package = clip_model.open_clip()
    architectures = [] if "/" in pattern else package.list_models()
    tagged = (f"{arch}/{tag}" for arch, tag in package.list_pretrained())
    return [name for name in (*architectures, *tagged) if fnmatchcase(name, pattern)]


def _locate(weights: str | os.PathLike[str]) -> Path:
    folder = Path(weights).expanduser().resolve()
    return folder if folder.is_dir() else files.locate(weights)


def _parse_templates(text: object) -> tuple[str, ...]:
    """Parse the option ``templates``.

    Raises:
        ConfigError: a template lacks {}.
    """
    templates = tuple(template.strip() for template in str(text).split("|"))
    for template in templates:
        if "{}" not in template:
            raise ConfigError(f"a template needs {{}} in the place of the text, not {template!r}")
    return templates


def _languages(name: str) -> tuple[str, ...]:
    return ("mul",) if any(part in name.lower() for part in _MANY) else ("en",)


def _sides(torch: Any, module: Any) -> tuple[Any, Any]:
    """Return the image and text sides of a model, as torch modules that return features.

    The image side takes images (n, 3, size, size), and the text side tokens (n, length).
    """

    # without `normalize` CoCa scales features to unit norm
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
