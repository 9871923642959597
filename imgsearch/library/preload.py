"""Loads the encoder of the last query in a thread, while the store is opened.

The store names its encoder only when it is open. So the encoder of a query is remembered in the
cache folder, and the next process with the same arguments loads it at once. If the store has
another encoder by then, the query loads it as usual, and the remembered one was loaded in vain.
"""

import hashlib
import json
import logging
import tempfile
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from imgsearch import encoders
from imgsearch.encoders import Recipe
from imgsearch.errors import ImgSearchError
from imgsearch.text import load_json

_log = logging.getLogger(__name__)
_SIDES: Final = ("text", "image")


@dataclass(frozen=True)
class Preload:
    """The encoder of queries with these `arguments`, which are plain values, by their texts.

    `cache` is the cache folder.
    """

    cache: Path
    arguments: tuple[object, ...]

    def start(self, kinds: Iterable[str]) -> threading.Thread | None:
        """Load the remembered encoder for terms of these kinds in a thread, and return the thread.

        Returns None if no encoder is remembered, or the query needs none. Errors are left to the
        query itself, which loads the encoder again.
        """
        sides = [kind for kind in _SIDES if kind in set(kinds)]
        recipe = self._read() if sides else None
        if recipe is None:
            return None
        # not a daemon: a process that ends in a framework's code may crash
        thread = threading.Thread(target=_load, args=(recipe, sides), name="imgsearch-preload")
        thread.start()
        return thread

    def remember(self, recipe: Recipe | None) -> None:
        """Remember the encoder of a query for the next process. Errors are logged."""
        if recipe is None or self._read() == recipe:
            return
        text = json.dumps(recipe.config(), ensure_ascii=False, default=list)
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=self._file.parent, prefix=".part-") as part:
                draft = Path(part) / "recipe.json"
                draft.write_text(text, encoding="utf-8", errors="backslashreplace")
                draft.replace(self._file)
        except OSError as error:
            _log.debug("the encoder is not remembered: %s", error)

    @property
    def _file(self) -> Path:
        text = json.dumps([str(argument) for argument in self.arguments])
        return self.cache / "queries" / f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.json"

    def _read(self) -> Recipe | None:
        try:
            config = load_json(self._file.read_text(encoding="utf-8"))
            return Recipe(str(config["model"]), config["weights"], config["options"])
        except (OSError, ValueError, TypeError, LookupError):
            return None


def _load(recipe: Recipe, sides: Iterable[str]) -> None:
    config: dict[str, Any] = recipe.config()
    try:
        encoder = encoders.load(**config)
        for side in sides:
            encoder.load_side(side)
    except ImgSearchError as error:
        _log.debug("the remembered encoder %s cannot be loaded: %s", recipe.model, error)
