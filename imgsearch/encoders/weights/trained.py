"""Files of `imgsearch train`, which name the model that their weights belong to."""

import json
import os
from pathlib import Path
from typing import Final, TypeAlias

from imgsearch.errors import WeightsInvalid, WeightsNotFound
from imgsearch.text import load_json

KEY: Final = "imgsearch"
"""The key of a file's metadata. Its value is ``{"model": NAME}`` as JSON."""

SUFFIX: Final = ".safetensors"
_LIMIT: Final = 100_000_000  # bytes of a header; the limit of the safetensors format
_Weights: TypeAlias = str | os.PathLike[str] | None


def expand(model: str, weights: _Weights) -> tuple[str, _Weights]:
    """Return model and weights for a `model` that is a file of `imgsearch train`.

    Other names are returned unchanged.

    Raises:
        WeightsNotFound: the file does not exist.
        WeightsInvalid: the file does not name its model.
    """
    if weights is not None or not model.lower().endswith(SUFFIX):
        return model, weights
    path = Path(model).expanduser()
    try:
        with path.open("rb") as file:
            size = int.from_bytes(file.read(8), "little")
            header = load_json(file.read(size).decode()) if size <= _LIMIT else {}
        name = load_json(header["__metadata__"][KEY])["model"]
    except (OSError, ValueError) as error:
        if isinstance(error, FileNotFoundError) or "\0" in model:
            raise WeightsNotFound(f"no model file {model!r}") from error
        raise WeightsInvalid(_unnamed(model)) from error
    except (LookupError, TypeError) as error:
        raise WeightsInvalid(_unnamed(model)) from error
    if not isinstance(name, str) or name.lower().endswith(SUFFIX):
        raise WeightsInvalid(_unnamed(model))
    return name, str(path.resolve())


def metadata(model: str) -> dict[str, str]:
    """Return the metadata of a file with weights of `model`."""
    return {KEY: json.dumps({"model": model})}


def _unnamed(model: str) -> str:
    return (
        f"{model} does not name its model, as files of `imgsearch train` do. Write --model NAME "
        f"--weights {model} (in Python model=NAME, weights=)."
    )
