"""Weights at rest: what a file is before any framework reads it, and whether a hub answers."""

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

from imgsearch import safe_json
from imgsearch.errors import ConfigError, WeightsInvalid, WeightsNotFound
from imgsearch.types import Value

Options: TypeAlias = Mapping[str, Value | Sequence[float]]
"""How a model is built and fed: plain values, and lists of numbers."""

SUFFIXES: Final = (".safetensors", ".pth", ".pt", ".bin", ".h5")
_NAMED: Final = re.compile(r"-([0-9a-f]{8})\.(?:pth?|bin|safetensors)$")
_log = logging.getLogger(__name__)
_MAX_HEADER: Final = 100_000_000  # bytes; the limit of the safetensors format
_MAX_SIDECAR: Final = 65_536  # bytes; a few options take a few hundred
_WRAPPERS: Final = ("state_dict", "model")
_KINDS: Final[Mapping[bytes, str]] = {
    b"version https://git-lfs": "a Git LFS pointer: fetch the file itself with `git lfs pull`",
    b"<!doctype html": "a web page, not what it links to: download it again",
    b"<html": "a web page, not what it links to: download it again",
    b"<?xml": "an XML answer, most likely an error: download it again",
    b"\x89hdf": "an HDF5 file; rename it to .h5 if Keras wrote it",
    b"\x1f\x8b": "a gzip archive: unpack it",
    b"\x89png": "an image",
    b"\xff\xd8\xff": "an image",
}
"""Starts of files, in lower case, that come in the place of weights."""


def plain_options(options: Mapping[Any, Any] | None) -> dict[str, Value | tuple[float, ...]]:
    """Return options as plain values, lists as tuples, sorted by name.

    Raises:
        ConfigError: a name is no text, or a value neither plain nor numbers.
    """
    plain: dict[str, Value | tuple[float, ...]] = {}
    if not isinstance(options, Mapping | None):
        raise ConfigError(f"options are a dict, as {{'pooling': 'gem'}}, not {options!r}")
    for name, value in (options or {}).items():
        if not isinstance(name, str):
            raise ConfigError(f"an option's name is text, not {name!r}")
        numbers = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
        if any(isinstance(each, float) and not math.isfinite(each) for each in numbers):
            raise ConfigError(f"option {name!r} takes finite numbers, not {value!r}")
        if isinstance(value, str | int | float | bool):
            plain[name] = value
        elif isinstance(value, Sequence) and all(isinstance(each, int | float) for each in value):
            plain[name] = tuple(value)
        else:
            raise ConfigError(f"option {name!r} takes a plain value or numbers, not {value!r}")
    return dict(sorted(plain.items()))


def locate(weights: str | os.PathLike[str]) -> Path:
    """Return the real path of a weights file, links followed, ``~`` expanded.

    Raises:
        WeightsNotFound: there is no such file.
        WeightsInvalid: it is a folder, or its name says that it holds no weights.
    """
    given = Path(weights).expanduser()
    path = given.resolve()
    if path.is_dir():
        raise WeightsInvalid(f"{given} is a folder; name the file in it")
    if not path.is_file():
        raise WeightsNotFound(f"no weights file {given}; --weights FILE (weights=) names another")
    # a link may carry the name that its target, as in the hub's cache, lacks
    if path.suffix.lower() not in SUFFIXES and given.suffix.lower() not in SUFFIXES:
        raise WeightsInvalid(f"{given} is no weights file by name; known: {', '.join(SUFFIXES)}")
    return path if path.suffix.lower() in SUFFIXES else given.absolute()


def stamp(path: Path) -> tuple[str | int, ...]:
    """Return what changes when a weights file or its sidecar, or a folder's file, is written anew.

    Raises:
        WeightsNotFound: the file cannot be read any more.
    """
    if path.is_dir():
        return sum((stamp(each) for each in sorted(path.iterdir()) if each.is_file()), ())
    try:
        status, beside = path.stat(), path.with_suffix(".json")
    except OSError as error:
        raise WeightsNotFound(f"cannot read {path}: {error.strerror}") from error
    marks: list[str | int] = [str(path), status.st_size, status.st_mtime_ns]
    if beside.is_file():
        status = beside.stat()
        marks += [status.st_size, status.st_mtime_ns]
    return tuple(marks)


def sidecar(path: Path) -> dict[str, Value | tuple[float, ...]]:
    """Return the options that ``NAME.json`` beside the weights ``NAME.safetensors`` holds.

    Raises:
        ConfigError: the file is there, but is no JSON object of plain values and lists of numbers.
    """
    beside = path.with_suffix(".json")
    if not beside.is_file():
        return {}
    if beside.stat().st_size > _MAX_SIDECAR:
        raise ConfigError(f"{beside} has over {_MAX_SIDECAR:,} bytes: these are no options")
    try:
        read = safe_json.loads(beside.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{beside} holds no options as JSON: {error}") from error
    if not isinstance(read, dict):
        raise ConfigError(f"{beside} holds no JSON object, but {type(read).__name__}")
    try:
        return plain_options(read)
    except ConfigError as error:
        raise ConfigError(f"{beside}: {error}") from error


def check(path: Path) -> None:
    """Refuse, in words, a file that cannot be weights; what passes may still be none.

    A file of Keras is one that is named .h5.

    Raises:
        WeightsInvalid: the file is empty, cut off, or of another kind.
        WeightsNotFound: the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            start = file.read(64)
    except OSError as error:
        raise WeightsNotFound(f"cannot read {path}: {error.strerror}") from error
    if not start:
        raise WeightsInvalid(f"{path} is empty")
    # first of all, as the length that a safetensors file begins with may look like another's mark
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
    """Return if the host of `url` answers at all, whatever it answers, within `timeout` seconds.

    One attempt, through the proxies that the environment names; looking the name up is bounded by
    the system's resolver. The hub's own client tries six times for each file name.

    Raises:
        WeightsNotFound: no answer.
    """
    if not url.startswith(("http://", "https://")):
        raise WeightsNotFound(f"weights are fetched over http(s) only, not from {url}")
    started = time.monotonic()
    try:
        with urlopen(Request(url, method="HEAD"), timeout=timeout):  # noqa: S310  # checked above
            pass
    except HTTPError as error:
        error.close()  # an answer: it is up, and may refuse only this address or method
    except (OSError, ValueError) as error:
        raise WeightsNotFound(f"{url} does not answer: {error}") from error
    _log.debug("%s answered in %.1f s", url, time.monotonic() - started)


def check_named(path: Path) -> None:
    """Check a file that carries the start of its sha256 in its name, as PyTorch publishes them.

    ``resnet50-11ad3fa6.pth`` is one; a name without 8 hexadecimal digits so placed says nothing.

    Raises:
        WeightsInvalid: it is another file than its name says.
        WeightsNotFound: the file cannot be read.
    """
    named = _NAMED.search(path.name)
    if named and not (found := sha256(path)).startswith(named[1]):
        raise WeightsInvalid(
            f"{path} should begin with {named[1]} in its sha256, by its name, but has {found[:8]}: "
            "download it again, or rename it if it is meant to be another file"
        )


def _check_kind(path: Path, start: bytes, *, framed: bool, named: bool) -> None:
    """Check what is no safetensors file by its frame, its name or both."""
    if path.suffix.lower() == ".h5":
        if not start.startswith(b"\x89HDF"):
            raise WeightsInvalid(f"{path} is no HDF5 file, as Keras writes them")
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
        what = f"a PyTorch file; rename it to {path.stem}.pth" if torch else "no safetensors file"
        raise WeightsInvalid(f"{path} is {what}")


def _check_archive(path: Path) -> None:
    if not zipfile.is_zipfile(path):
        raise WeightsInvalid(f"{path} is cut off: its end is missing; download it again")
    with zipfile.ZipFile(path) as archive:
        if any(name.partition("/")[2].startswith("code/") for name in archive.namelist()):
            raise WeightsInvalid(
                f"{path} is a TorchScript archive, which holds code besides tensors; take the same "
                "weights as .safetensors, or save its state dict as such"
            )


def _check_safetensors(path: Path) -> None:
    """Check the frame of the file: 8 bytes of length, a JSON header, the tensors' bytes.

    Source: https://huggingface.co/docs/safetensors/index#format
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        text = file.read(min(length, _MAX_HEADER))
    if len(text) < length:
        raise WeightsInvalid(f"{path} is cut off in its header; download it again")
    try:
        header = safe_json.loads(text)
        ends = [row["data_offsets"][1] for name, row in header.items() if name != "__metadata__"]
        expected = 8 + length + max(ends, default=0)
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise WeightsInvalid(f"{path} is no safetensors file: its header is unreadable") from error
    if size < expected:
        raise WeightsInvalid(f"{path} is cut off: {size:,} of {expected:,} bytes; download again")


def unwrap(read: object) -> dict[str, Any]:
    """Return the state dict in a checkpoint that may wrap it, or {} where there is none.

    Taken off: mappings under ``state_dict`` or ``model``, and ``module.`` before every name.
    """
    while isinstance(read, Mapping):
        inner = next((read[key] for key in _WRAPPERS if isinstance(read.get(key), Mapping)), None)
        if inner is None:
            break
        read = inner
    if not isinstance(read, Mapping) or not all(isinstance(key, str) for key in read):
        return {}
    if read and all(key.startswith("module.") for key in read):
        return {key.removeprefix("module."): value for key, value in read.items()}
    return dict(read)


def differences(own: Mapping[str, Any], state: Mapping[str, Any]) -> str:
    """Tell how the tensors `state` differ from the model's `own` in name or shape; "" if not.

    The counters of batch normalisation, which only training reads, may be missing.
    """
    told = {
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
        f"{len(keys)} {what} ({', '.join(keys[:3])}{', …' * (len(keys) > 3)})"
        for what, keys in told.items()
        if keys
    )


def _shape(tensor: Any) -> str:
    return "x".join(map(str, tensor.shape)) or "scalar"
