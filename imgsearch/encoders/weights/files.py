"""Weights files: options, checks before a framework reads them, and hashes."""

import hashlib
import logging
import math
import os
import re
import time
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from imgsearch.errors import ConfigError, WeightsInvalid, WeightsNotFound
from imgsearch.text import load_json
from imgsearch.types import Value

Options: TypeAlias = Mapping[str, Value | Sequence[float]]
"""Options of a model and its input: plain values and lists of numbers."""

SUFFIXES: Final = (".safetensors", ".pth", ".pt", ".bin", ".h5")
_NAMED: Final = re.compile(r"-([0-9a-f]{8})\.(?:pth?|bin|safetensors)$")
_log = logging.getLogger(__name__)
_MAX_HEADER: Final = 100_000_000  # bytes; the limit of the safetensors format
_MAX_SIDECAR: Final = 65_536  # bytes; a few options take a few hundred
_WRAPPERS: Final = ("state_dict", "model")
_KINDS: Final[Mapping[bytes, str]] = {
    b"version https://git-lfs": "a Git LFS pointer: fetch the file itself with `git lfs pull`",
    b"<!doctype html": "a web page, not the linked file: download it again",
    b"<html": "a web page, not the linked file: download it again",
    b"<?xml": "an XML response, probably an error: download it again",
    b"\x89hdf": "an HDF5 file; rename it to .h5 if Keras wrote it",
    b"\x1f\x8b": "a gzip archive: unpack it",
    b"\x89png": "an image",
    b"\xff\xd8\xff": "an image",
}
"""The first bytes, in lower case, of files that are often mistaken for weights."""


def plain_options(options: Mapping[Any, Any] | None) -> dict[str, Value | tuple[float, ...]]:
    """Return options sorted by name, with tuples instead of lists.

    Raises:
        ConfigError: a name is not text, or a value is neither plain nor a list of finite numbers.
    """
    plain: dict[str, Value | tuple[float, ...]] = {}
    if not isinstance(options, Mapping | None):
        raise ConfigError(f"options must be a dict, such as {{'pooling': 'gem'}}, not {options!r}")
    for name, value in (options or {}).items():
        if not isinstance(name, str):
            raise ConfigError(f"an option's name must be text, not {name!r}")
        numbers = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
        if any(isinstance(item, float) and not math.isfinite(item) for item in numbers):
            raise ConfigError(f"option {name!r} takes finite numbers, not {value!r}")
        if isinstance(value, str | int | float | bool):
            plain[name] = value
        elif isinstance(value, Sequence) and all(isinstance(item, int | float) for item in value):
            plain[name] = tuple(value)
        else:
            raise ConfigError(f"option {name!r} takes a plain value or numbers, not {value!r}")
    return dict(sorted(plain.items()))


def locate(weights: str | os.PathLike[str]) -> Path:
    """Return the absolute path of a weights file, with ``~`` expanded.

    A link is resolved if the target has a suffix of weights files.

    Raises:
        WeightsNotFound: the file is missing.
        WeightsInvalid: the path is a folder, or has no suffix of weights files.
    """
    link = Path(weights).expanduser()
    path = link.resolve()
    if path.is_dir():
        raise WeightsInvalid(f"{link} is a folder. Name the file in it.")
    if not path.is_file():
        raise WeightsNotFound(f"no weights file {link}. Name another with --weights (weights=).")
    # the target of a link may lack the suffix, as in the hub's cache
    if path.suffix.lower() not in SUFFIXES and link.suffix.lower() not in SUFFIXES:
        raise WeightsInvalid(f"{link} has no suffix of weights: {', '.join(SUFFIXES)}")
    return path if path.suffix.lower() in SUFFIXES else link.absolute()


def stamp(path: Path) -> tuple[str | int, ...]:
    """Return values that change if a file, its sidecar or a file in a folder is rewritten.

    Raises:
        WeightsNotFound: the file is no longer readable.
    """
    if path.is_dir():
        return sum((stamp(file) for file in sorted(path.iterdir()) if file.is_file()), ())
    try:
        status, sidecar_file = path.stat(), path.with_suffix(".json")
    except OSError as error:
        raise WeightsNotFound(f"cannot read {path}: {error.strerror}") from error
    marks: list[str | int] = [str(path), status.st_size, status.st_mtime_ns]
    if sidecar_file.is_file():
        status = sidecar_file.stat()
        marks += [status.st_size, status.st_mtime_ns]
    return tuple(marks)


def sidecar(path: Path) -> dict[str, Value | tuple[float, ...]]:
    """Return the options in ``NAME.json`` beside the weights ``NAME.safetensors``.

    Raises:
        ConfigError: the file is not a JSON object of plain values and lists of numbers.
    """
    file = path.with_suffix(".json")
    if not file.is_file():
        return {}
    if file.stat().st_size > _MAX_SIDECAR:
        raise ConfigError(f"{file} has over {_MAX_SIDECAR:,} bytes, too many for options")
    try:
        values = load_json(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{file} holds no options as JSON: {error}") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{file} holds no JSON object, but {type(values).__name__}")
    try:
        return plain_options(values)
    except ConfigError as error:
        raise ConfigError(f"{file}: {error}") from error


def check(path: Path) -> None:
    """Reject a file that is certainly not weights; the message has the reason.

    A Keras file needs the suffix .h5.

    Raises:
        WeightsInvalid: the file is empty, truncated, or has another format.
        WeightsNotFound: the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            start = file.read(64)
    except OSError as error:
        raise WeightsNotFound(f"cannot read {path}: {error.strerror}") from error
    if not start:
        raise WeightsInvalid(f"{path} is empty")
    # first, because the length at the start of a safetensors file may look like another mark
    framed, named = start[8:9] == b"{", path.suffix.lower() == ".safetensors"
    if framed and named:
        _check_safetensors(path)
    else:
        _check_kind(path, start, framed=framed, named=named)


def sha256(path: Path) -> str:
    """Return the sha256 of a file's bytes, in hex.

    Raises:
        WeightsNotFound: the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise WeightsNotFound(f"cannot read {path}: {error.strerror}") from error


def reach(url: str, *, timeout: float = 5) -> None:
    """Check that the host of `url` responds, with any status, within `timeout` seconds.

    It sends one request through the environment's proxies. `timeout` does not limit the name
    lookup. The check saves time, because the hub's client tries six times for each file name.

    Raises:
        WeightsNotFound: the host does not respond.
    """
    if not url.startswith(("http://", "https://")):
        raise WeightsNotFound(f"cannot fetch weights from {url}: only http and https are supported")
    started = time.monotonic()
    try:
        with urlopen(Request(url, method="HEAD"), timeout=timeout):  # noqa: S310  # checked above
            pass
    except HTTPError as error:
        error.close()  # the host is up, and may reject only this path or method
    except (OSError, ValueError) as error:
        raise WeightsNotFound(f"{url} does not answer: {error}") from error
    _log.debug("%s answered in %.1f s", url, time.monotonic() - started)


def check_named(path: Path) -> None:
    """Check the sha256 of a file if its name has the first 8 digits, as in PyTorch's files.

    An example is ``resnet50-11ad3fa6.pth``. Other names pass.

    Raises:
        WeightsInvalid: the file has another sha256.
        WeightsNotFound: the file cannot be read.
    """
    named = _NAMED.search(path.name)
    if named and not (digest := sha256(path)).startswith(named[1]):
        raise WeightsInvalid(
            f"{path} has the sha256 {digest[:8]}…, not {named[1]}… as in its name. Download it "
            "again, or rename it if it is another file."
        )


def _check_kind(path: Path, start: bytes, *, framed: bool, named: bool) -> None:
    """Check a file that lacks the structure or the suffix of safetensors."""
    if path.suffix.lower() == ".h5":
        if not start.startswith(b"\x89HDF"):
            raise WeightsInvalid(f"{path} is not an HDF5 file of Keras")
        return
    for mark, kind in _KINDS.items():
        if start.lstrip().lower().startswith(mark):
            raise WeightsInvalid(f"{path} is {kind}")
    if start.startswith(b"PK"):
        _check_archive(path)
    if framed:
        raise WeightsInvalid(f"{path} is a safetensors file; rename it to {path.stem}.safetensors")
    if named:
        torch = start.startswith((b"PK", b"\x80"))
        kind = (
            f"a PyTorch file; rename it to {path.stem}.pth" if torch else "not a safetensors file"
        )
        raise WeightsInvalid(f"{path} is {kind}")


def _check_archive(path: Path) -> None:
    if not zipfile.is_zipfile(path):
        raise WeightsInvalid(f"{path} is truncated. Download it again.")
    with zipfile.ZipFile(path) as archive:
        if any(name.partition("/")[2].startswith("code/") for name in archive.namelist()):
            raise WeightsInvalid(
                f"{path} is a TorchScript archive, which holds code. Use the same weights as "
                ".safetensors, or save its state dict in this format."
            )


def _check_safetensors(path: Path) -> None:
    """Check the structure of the file: 8 bytes of length, a JSON header, the tensors' bytes.

    Source: https://huggingface.co/docs/safetensors/index#format
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        text = file.read(min(length, _MAX_HEADER))
    if len(text) < length:
        raise WeightsInvalid(f"{path} is truncated in its header. Download it again.")
    try:
        header = load_json(text)
        ends = [row["data_offsets"][1] for name, row in header.items() if name != "__metadata__"]
        expected = 8 + length + max(ends, default=0)
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise WeightsInvalid(
            f"{path} is not a safetensors file: its header is unreadable"
        ) from error
    if size < expected:
        raise WeightsInvalid(
            f"{path} is truncated: {size:,} of {expected:,} bytes. Download it again."
        )


def unwrap(checkpoint: object) -> dict[str, Any]:
    """Return the state dict in a checkpoint. Returns {} if it has none.

    It may be nested under ``state_dict`` or ``model``. A common prefix ``module.`` is removed.
    """
    state = checkpoint
    while isinstance(state, Mapping):
        inner = next((state[key] for key in _WRAPPERS if isinstance(state.get(key), Mapping)), None)
        if inner is None:
            break
        state = inner
    if not isinstance(state, Mapping) or not all(isinstance(key, str) for key in state):
        return {}
    if state and all(key.startswith("module.") for key in state):
        return {key.removeprefix("module."): value for key, value in state.items()}
    return dict(state)


def differences(own: Mapping[str, Any], state: Mapping[str, Any]) -> str:
    """Describe name and shape differences of the tensors `state` from the model's `own`.

    Returns "" if they match. Batch-norm counters may be missing, because only training uses them.
    """
    keys_by_fault = {
        "missing": [
            key for key in own if key not in state and not key.endswith(".num_batches_tracked")
        ],
        "unexpected": [key for key in state if key not in own],
        "of another shape": [
            f"{key} {_shape(state[key])} for {_shape(own[key])}"
            for key in own
            if key in state and state[key].shape != own[key].shape
        ],
    }
    return "; ".join(
        f"{len(keys)} {fault} ({', '.join(keys[:3])}{', …' * (len(keys) > 3)})"
        for fault, keys in keys_by_fault.items()
        if keys
    )


def _shape(tensor: Any) -> str:
    return "x".join(map(str, tensor.shape)) or "scalar"
