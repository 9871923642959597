"""Checks of the installation and of vector stores, each with a finding and advice."""

import platform
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Final, Literal

import numpy as np

from imgsearch import backends
from imgsearch.backends import versions
from imgsearch.distribution import NAME, VERSION, install_hint, shared_with_namesake
from imgsearch.encoders import DEFAULT, Encoder, load
from imgsearch.errors import (
    BackendUnavailable,
    EncoderError,
    ImgSearchError,
    MissingExtra,
    StoreLocked,
)
from imgsearch.library import growth
from imgsearch.library.extras import Extra, extras
from imgsearch.settings import TIMEOUT

_DAMAGED: Final = (
    "restore its folder from a backup, or move it out of the store; adding images replaces an "
    "empty collection"
)

State = Literal["ok", "absent", "wrong"]


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
    """Yield the findings of `installation`, and one for the encoders and each store.

    Nothing is changed.
    """
    yield from installation()
    yield _default_encoder()
    yield _torch()
    for store in stores:
        yield from check_store(store, timeout)


def installation() -> Iterator[Finding]:
    """Yield a finding for Python, each package of the core, each extra, and the operators."""
    yield Finding("python", "ok", f"{platform.python_version()} on {platform.platform()}")
    yield _imgsearch()
    if not (parts := extras()):
        yield Finding("packages", "absent", f"{NAME} is not installed", install_hint())
    for extra in parts:
        yield from _extra(extra) if extra.name else _core(extra)
    yield _operators()


def _imgsearch() -> Finding:
    warning = shared_with_namesake()
    return Finding("imgsearch", "wrong" if warning else "ok", VERSION, warning)


def _core(core: Extra) -> Iterator[Finding]:
    for package, installed in core.installed.items():
        yield Finding(package, "ok", installed)
    for package in core.missing:
        name, _, other = package.partition(" ")
        yield Finding(
            name, "wrong", other or "not installed", f"imgsearch needs it: {install_hint()}"
        )


def _extra(extra: Extra) -> Iterator[Finding]:
    what = f"extra {extra.name}"
    if extra.missing:
        hint = f"{install_hint(extra.name)} installs it"
        yield Finding(what, "absent", f"lacks {', '.join(extra.missing)}", hint)
    else:
        versions = (f"{package} {installed}" for package, installed in extra.installed.items())
        yield Finding(what, "ok", ", ".join(versions))


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


def check_encoder(what: str, load: Callable[[], Encoder]) -> Finding:
    """Load an encoder and embed an image with it."""
    try:
        encoder = load()
        encoder.encode([np.zeros((64, 64, 3), dtype=np.uint8)])
    except (ImgSearchError, OSError) as error:
        return Finding(what, "wrong", str(error), "correct --model, --weights or --option")
    return Finding(what, "ok", f"{encoder.fingerprint.model} runs, {encoder.dim} dimensions")


def check_store(store: Store, timeout: float) -> Iterator[Finding]:
    """Yield a finding for a vector store, and one for each damaged collection in it."""
    what = f"store {store.url}"
    try:
        url = backends.canonical(store.url)
        if not backends.is_there(url):
            yield Finding(what, "absent", "does not exist yet", "`imgsearch add` creates it")
            return
        started = monotonic()
        with backends.connect(url, token=store.token, timeout=timeout) as backend:
            names, faults = versions.collections(backend), backend.faults()
            limits = backend.limits()
        seconds = monotonic() - started
    except ImgSearchError as error:
        yield Finding(what, "wrong", str(error), _advice(error, store))
        return
    collections = ", ".join(names) or "no collection yet"
    limited = f"; {limits}" if limits else ""
    yield Finding(what, "ok", f"responds in {seconds:.2f} s; {collections}{limited}")
    for name, fault in faults.items():
        yield Finding(f"collection {name}", "wrong", f"in {store.url}: {fault}", _DAMAGED)


def growth_advice(store: Store, timeout: float) -> list[str]:
    """Return the advice of `imgsearch.library.growth` for each collection of a store.

    Returns none for a store that cannot be read, which `check_store` reports.
    """
    try:
        url = backends.canonical(store.url)
        if not (backends.is_embedded(url) and backends.is_there(url)):
            return []
        with backends.connect(url, token=store.token, timeout=timeout) as backend:
            lines = [
                growth.advice(url, versions.open_named(backend, name), name=name)
                for name in versions.collections(backend)
            ]
    except ImgSearchError:
        return []
    return [line for line in lines if line]


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
