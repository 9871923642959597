"""Recipes and plans for building encoders, as plain values."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any, Final, Self

from imgsearch.encoders import registry
from imgsearch.encoders.registry import DEFAULT
from imgsearch.encoders.weights import trained
from imgsearch.text import load_json

RUNNING: Final = frozenset({"runtime", "precision", "batch_size", "device", "compile"})
"""The options that do not change a model's vectors, only how it runs."""


@dataclass(frozen=True)
class Recipe:
    """The arguments that rebuild an encoder, for pipelines and collections.

    A recipe is a hint, because the weights file may have moved. The `Fingerprint` of the built
    encoder is its identity.
    """

    model: str = DEFAULT
    weights: str | None = None
    options: Mapping[str, Any] | None = None

    @classmethod
    def of(
        cls,
        model: str,
        weights: str | PathLike[str] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> Self:
        """Return `Recipe(model, weights, options).resolved()`."""
        return cls(model, None if weights is None else str(weights), options).resolved()

    def resolved(self) -> Self:
        """Return the recipe with absolute paths and the model's name instead of an alias.

        The recipe works in any folder, and does not change if "best" is another model later. A
        model that is a file of `imgsearch train` becomes the model that the file names, with the
        file as its weights.
        """
        model, weights = trained.expand(self.model, self.weights)
        file = None if weights is None else str(Path(weights).expanduser().resolve())
        plain = dict(self.options or {})
        if "reduction" in plain:
            plain["reduction"] = str(Path(plain["reduction"]).expanduser().resolve())
        row = registry.find(model)
        return type(self)(row.name if row else model, file, plain or None)

    def config(self) -> dict[str, Any]:
        """Return the keyword arguments of operators and `imgsearch.encoders.load`."""
        return {"model": self.model, "weights": self.weights, "options": self.options}

    def to_json(self) -> str:
        """Return JSON text for `from_json`, without the options that depend on the machine."""
        kept = {key: value for key, value in (self.options or {}).items() if key not in RUNNING}
        return json.dumps({**self.config(), "options": kept or None}, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Self | None:
        """Parse the text of `to_json`; return None for any other text."""
        try:
            config = load_json(text)
            model, weights, options = config["model"], config["weights"], config["options"]
            if not (
                isinstance(model, str)
                and isinstance(weights, str | None)
                and isinstance(options, dict | None)
            ):
                return None
            return cls(model, weights, options)
        except (ValueError, TypeError, KeyError):
            return None


@dataclass(frozen=True)
class Plan:
    """A model to build.

    `family` is "lite", "classic", "hash", "timm", "clip" or "towhee", and `name` the model's name
    in the family. `label` is the name in fingerprints. The user's options override `defaults`.
    `languages` are the languages of supported texts.
    """

    family: str
    name: str
    label: str
    defaults: Mapping[str, Any] = field(default_factory=dict)
    languages: tuple[str, ...] = ()
