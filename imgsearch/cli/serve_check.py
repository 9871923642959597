"""serve --check: check what `imgsearch serve` needs, without serving or creating anything."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from imgsearch.archive import CollectionOptions
from imgsearch.archive.doctor import key_count
from imgsearch.cli.doctor import archive_findings
from imgsearch.errors import ImgSearchError
from imgsearch.library import stores
from imgsearch.library.doctor import Finding, Store, check_encoder, check_store
from imgsearch.service import server
from imgsearch.settings import Settings

_CORRECT = "correct the option or the setting"


def findings(
    settings: Settings,
    data: Path,
    *,
    host: str,
    port: int,
    no_auth: bool,
    values: dict[str, Any],
    creation: CollectionOptions,
    check_access: Callable[[], object],
) -> Iterator[Finding]:
    """Yield a finding for each part of the service that the options select.

    `check_access` raises `ConfigError` if an option of access is invalid.
    """
    url = values["db"] or settings.db or str(data / "vectors.db")
    store = Store(url, settings.token(url), settings.secret(url))
    yield from check_store(store, settings.timeout)
    yield from archive_findings(settings, data)
    yield check_encoder("encoder of new collections", creation.load_encoder)
    if (model := _existing(settings, url)) is not None:
        yield check_encoder("encoder of the collection images", model)
    yield _tried("options of access", check_access)
    yield _tried("keys", lambda: _check_keys(settings, data, host, values, no_auth=no_auth))
    yield _tried(f"port {port} of {host}", lambda: server.listening(host, port).close())


def _existing(settings: Settings, url: str) -> Callable[[], Any] | None:
    """Return a function that loads the encoder of an existing collection, None without one."""
    try:
        stores.require(url)
        library = _open(settings, url)
    except ImgSearchError:  # the store has a finding of its own
        return None
    if not library.exists():
        library.close()
        return None

    def load() -> Any:
        with library:
            return library.encoder

    return load


def _open(settings: Settings, url: str) -> Any:
    from imgsearch.library.open import open as open_url

    return open_url(url, token=settings.token(url), timeout=settings.timeout, wait=0)


def _check_keys(
    settings: Settings, data: Path, host: str, values: dict[str, Any], *, no_auth: bool
) -> None:
    number = key_count(
        data,
        catalog=settings.catalog,
        password=settings.catalog_password,
        timeout=settings.timeout,
    )
    server.check_open(host, keys=number, no_auth=no_auth, proxies=values["proxies"])


def _tried(what: str, check: Callable[[], object]) -> Finding:
    try:
        check()
    except ImgSearchError as error:
        return Finding(what, "wrong", str(error), _CORRECT)
    return Finding(what, "ok", "valid")
