"""Which encoder, in plain values: what pipelines carry and collections remember."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, Final, Self

from imgsearch import safe_json
from imgsearch.encoders import registry
from imgsearch.encoders.registry import DEFAULT

RUNNING: Final = frozenset({"runtime", "precision", "batch_size", "device", "compile"})
"""The options that tell how a model runs, and not what its vectors are."""


@dataclass(frozen=True)
class Recipe:
    """How to build an encoder again: a model's name, its weights file and its options.

    A hint, not an identity: the file may have moved. What counts is the `Fingerprint` of the
    encoder that comes out.
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
        """Return the recipe with absolute paths, and the model's own name for an alias.

        So it works in any folder, and an alias such as "best" may name another model some day.
        """
        file = None if weights is None else str(Path(weights).expanduser().resolve())
        chosen = dict(options or {})
        if "reduction" in chosen:
            chosen["reduction"] = str(Path(chosen["reduction"]).expanduser().resolve())
        row = registry.find(model)
        return cls(row.name if row else model, file, chosen or None)

    def config(self) -> dict[str, Any]:
        """Return the keyword arguments that operators and `imgsearch.encoders.load` take."""
        return {"model": self.model, "weights": self.weights, "options": self.options}

    def to_json(self) -> str:
        """Return the text that `from_json` reads, without what is this machine's: how it runs."""
        kept = {key: value for key, value in (self.options or {}).items() if key not in RUNNING}
        return json.dumps({**self.config(), "options": kept or None}, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Self | None:
        """Read what `to_json` wrote; None where `text` is something else."""
        try:
            config = safe_json.loads(text)
            return cls(str(config["model"]), config["weights"], config["options"])
        except (ValueError, TypeError, KeyError):
            return None
