"""Reduction files: two tensors and metadata in safetensors format."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy.typing as npt

from imgsearch.encoders.weights import files
from imgsearch.errors import MissingExtra, WeightsInvalid, WeightsNotFound
from imgsearch.text import load_json

METADATA: Final = {"kind": str, "seed": int, "samples": int, "source": str, "kept": float}
"""The names and types of a file's metadata."""

TENSORS: Final = ("matrix", "mean")
_MAX_BYTES: Final = 2**30  # a matrix of 16,384 x 16,384; no model has longer vectors


def content(metadata: Mapping[str, Any], tensors: Mapping[str, npt.NDArray[Any]]) -> bytes:
    """Return the bytes of a reduction file; equal values give equal bytes.

    Raises:
        MissingExtra: safetensors is not installed.
    """
    # a single entry, because safetensors 0.8 orders several by a randomly seeded hash
    data: bytes = safetensors_numpy().numpy.save(
        dict(tensors), metadata={"reduction": canonical(metadata)}
    )
    return data


def read(file: Path) -> tuple[bytes, dict[str, Any], dict[str, npt.NDArray[Any]]]:
    """Return a file's bytes, its metadata, and its tensors.

    Raises:
        WeightsNotFound: the file is missing or unreadable.
        WeightsInvalid: the file is not a reduction.
        MissingExtra: safetensors is not installed.
    """
    data, header = _read(file)
    return data, _metadata(file, header), _tensors(file, data)


def canonical(values: Mapping[str, object]) -> str:
    """Return plain values as canonical JSON text."""
    return json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def safetensors_numpy() -> Any:
    """Return the module safetensors with its submodule numpy.

    Raises:
        MissingExtra: safetensors is not installed.
    """
    try:
        import safetensors.numpy
    except ModuleNotFoundError as error:
        if error.name != "safetensors":
            raise
        raise MissingExtra(
            "reduction files need safetensors", extra="torch", name=error.name
        ) from error
    return safetensors


def _read(file: Path) -> tuple[bytes, dict[str, Any]]:
    """Return a file's bytes and header, if it has a matrix and a mean in float32."""
    if file.is_dir():
        raise WeightsInvalid(f"{file} is a folder. Name the file in it.")
    if not file.is_file():
        raise WeightsNotFound(f"no reduction file {file}. Create one with `imgsearch reduce`.")
    files.check(file)
    try:
        with file.open("rb") as opened:
            data = opened.read(_MAX_BYTES + 1)
    except OSError as error:
        raise WeightsNotFound(f"cannot read {file}: {error.strerror}") from error
    if len(data) > _MAX_BYTES:
        raise WeightsInvalid(f"{file} is not a reduction: it has over {_MAX_BYTES:,} bytes")
    length = int.from_bytes(data[:8], "little")
    try:
        header = dict(load_json(data[8 : 8 + length]))
        dtypes = {name: header[name]["dtype"] for name in header if name != "__metadata__"}
    except (ValueError, TypeError, LookupError) as error:
        raise WeightsInvalid(
            f"{file} is not a safetensors file: its header is unreadable"
        ) from error
    if dtypes != dict.fromkeys(TENSORS, "F32"):
        names = ", ".join(f"{name} {dtype}" for name, dtype in sorted(dtypes.items())[:4]) or "none"
        raise WeightsInvalid(
            f"{file} is not a reduction, whose tensors are matrix and mean in F32: it has "
            f"{len(dtypes)} tensors ({names})"
        )
    return data, header


def _metadata(file: Path, header: Mapping[str, Any]) -> dict[str, Any]:
    try:
        values = load_json(header["__metadata__"]["reduction"])
        metadata = {name: values[name] for name in METADATA}
    except (ValueError, TypeError, LookupError) as error:
        raise WeightsInvalid(f"{file} is not a reduction: its metadata are missing") from error
    wrong = [name for name, kind in METADATA.items() if type(metadata[name]) is not kind]
    if wrong:
        raise WeightsInvalid(f"{file} is not a reduction: invalid {', '.join(wrong)}")
    return metadata


def _tensors(file: Path, data: bytes) -> dict[str, npt.NDArray[Any]]:
    safetensors = safetensors_numpy()
    try:
        return dict(safetensors.numpy.load(data))
    except safetensors.SafetensorError as error:
        raise WeightsInvalid(f"{file} is not a safetensors file: {error}") from error
