"""The file that a reduction is kept in: two tensors and how they were made, by safetensors."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy.typing as npt

from imgsearch import safe_json
from imgsearch.encoders.weights import files
from imgsearch.errors import MissingExtra, WeightsInvalid, WeightsNotFound

ABOUT: Final = {"kind": str, "seed": int, "samples": int, "source": str, "kept": float}
"""What the file says beside its tensors."""

TENSORS: Final = ("matrix", "mean")
_MAX_BYTES: Final = 2**30  # a matrix of 16,384 x 16,384; no model has vectors that long


def content(about: Mapping[str, Any], tensors: Mapping[str, npt.NDArray[Any]]) -> bytes:
    """Return the file's bytes, always the same for the same values.

    Raises:
        MissingExtra: safetensors is not installed.
    """
    # one entry only: safetensors 0.8 keeps several in the order of a hash seeded at random
    written: bytes = safetensors_numpy().numpy.save(
        dict(tensors), metadata={"reduction": canonical(about)}
    )
    return written


def read(file: Path) -> tuple[bytes, dict[str, Any], dict[str, npt.NDArray[Any]]]:
    """Return a file's bytes, what it says of itself, by `ABOUT`, and its `TENSORS`.

    Raises:
        WeightsNotFound: there is no such file, or it cannot be read.
        WeightsInvalid: it is something else.
        MissingExtra: safetensors is not installed.
    """
    data, header = _read(file)
    return data, _about(file, header), _tensors(file, data)


def canonical(values: Mapping[str, object]) -> str:
    """Return plain values as the one JSON text that they have here."""
    return json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def safetensors_numpy() -> Any:
    """Return the module safetensors, its numpy part imported.

    Raises:
        MissingExtra: it is not installed.
    """
    try:
        import safetensors.numpy
    except ModuleNotFoundError as error:
        if error.name != "safetensors":
            raise
        raise MissingExtra(
            "reductions are kept in files of safetensors", extra="torch", name=error.name
        ) from error
    return safetensors


def _read(file: Path) -> tuple[bytes, dict[str, Any]]:
    """Return a file's bytes, and its header once that says: a matrix and a mean in float32."""
    if file.is_dir():
        raise WeightsInvalid(f"{file} is a folder; name the file in it")
    if not file.is_file():
        raise WeightsNotFound(f"no reduction file {file}; `imgsearch reduce` makes one")
    files.check(file)
    try:
        with file.open("rb") as opened:
            data = opened.read(_MAX_BYTES + 1)
    except OSError as error:
        raise WeightsNotFound(f"cannot read {file}: {error.strerror}") from error
    if len(data) > _MAX_BYTES:
        raise WeightsInvalid(f"{file} is no reduction: it has over {_MAX_BYTES:,} bytes")
    length = int.from_bytes(data[:8], "little")
    try:
        header = dict(safe_json.loads(data[8 : 8 + length]))
        found = {name: header[name]["dtype"] for name in header if name != "__metadata__"}
    except (ValueError, TypeError, LookupError) as error:
        raise WeightsInvalid(f"{file} is no safetensors file: its header is unreadable") from error
    if found != dict.fromkeys(TENSORS, "F32"):
        names = ", ".join(f"{name} {dtype}" for name, dtype in sorted(found.items())[:4]) or "none"
        raise WeightsInvalid(
            f"{file} is no reduction, whose tensors are matrix and mean, F32: it has {len(found)} "
            f"({names})"
        )
    return data, header


def _about(file: Path, header: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a file's header says of the reduction beside its tensors."""
    try:
        read = safe_json.loads(header["__metadata__"]["reduction"])
        about = {name: read[name] for name in ABOUT}
    except (ValueError, TypeError, LookupError) as error:
        raise WeightsInvalid(f"{file} is no reduction: it does not say how it was made") from error
    wrong = [name for name, kind in ABOUT.items() if type(about[name]) is not kind]
    if wrong:
        raise WeightsInvalid(f"{file} is no reduction: it is odd in its {', '.join(wrong)}")
    return about


def _tensors(file: Path, data: bytes) -> dict[str, npt.NDArray[Any]]:
    safetensors = safetensors_numpy()
    try:
        return dict(safetensors.numpy.load(data))
    except safetensors.SafetensorError as error:
        raise WeightsInvalid(f"{file} is no safetensors file: {error}") from error
