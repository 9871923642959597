"""Weights from a hub: from its cache, else downloaded, checked by the hash it names them by."""

import importlib.util
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from imgsearch.encoders.torch.imports import frameworks
from imgsearch.encoders.weights import files as weights
from imgsearch.errors import MissingExtra, WeightsInvalid, WeightsNotFound

_SHA256: Final = re.compile(r"[0-9a-f]{64}")


def find(repository: str, files: Sequence[str]) -> Path | None:
    """Return the first of the files that the hub's cache holds, None without one.

    `repository` is "owner/name", with "@revision" behind it for one that is not the newest. No
    network is touched, and the file is not checked.
    """
    if importlib.util.find_spec("huggingface_hub") is None:
        return None
    import huggingface_hub as hub

    name, _, revision = repository.partition("@")
    for file in files:
        found = hub.try_to_load_from_cache(name, file, revision=revision or None)
        if isinstance(found, str):
            return Path(found)
    return None


def fetch(repository: str, files: Sequence[str], *, offline: bool = False) -> Path:
    """Return the first of the files that there is, from the cache or downloaded into it.

    Raises:
        MissingExtra: the hub's client is not installed.
        WeightsNotFound: it is not cached, and the hub does not answer or has none; or `offline`.
        WeightsInvalid: its bytes are not those that the hub named.
    """
    path = find(repository, files)
    if path is None:
        path = _download(repository, files, offline=offline)
    check(path)
    return path


def check(path: Path) -> None:
    """Check a file of the cache: large ones lie there under their sha256.

    Raises:
        WeightsInvalid: it is another file than the hub named.
    """
    named = path.resolve().name
    if _SHA256.fullmatch(named) and weights.sha256(path) != named:
        raise WeightsInvalid(f"{path} is not what the hub sent, by its sha256: delete it")


def timm_weights(config: Any, *, offline: bool = False) -> Path:
    """Return the weights that timm offers for a model, from a cache or downloaded.

    `config` is timm's `PretrainedCfg`. What is cached is used without asking whether it is new.

    Raises:
        WeightsNotFound: timm has no weights of this model, or its hub does not answer.
        WeightsInvalid: what came is not what was named.
    """
    if not config or not config.has_weights:
        raise WeightsNotFound("timm offers none")
    if config.hf_hub_id:
        chosen = config.hf_hub_filename
        files = [chosen] if chosen else ["model.safetensors", "pytorch_model.bin"]
        return fetch(config.hf_hub_id, files, offline=offline)
    return _from_url(config.url if isinstance(config.url, str) else config.url[0], offline=offline)


def _download(repository: str, files: Sequence[str], *, offline: bool) -> Path:
    try:
        import huggingface_hub as hub
        from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError
    except ModuleNotFoundError as error:
        raise MissingExtra(
            "weights are downloaded by huggingface_hub", extra="torch", name=error.name
        ) from error
    if offline or hub.constants.HF_HUB_OFFLINE:
        variable = "IMGSEARCH_OFFLINE" if offline else "HF_HUB_OFFLINE"
        raise WeightsNotFound(f"the hub's cache holds none, and {variable} is set")
    weights.reach(hub.constants.ENDPOINT)
    # the client's errors are requests' or httpx's, by its version; its own inherit from them
    errors: tuple[type[Exception], ...] = (OSError, *HfHubHTTPError.__bases__)
    name, _, revision = repository.partition("@")
    try:
        for file in files:
            try:
                return Path(hub.hf_hub_download(name, file, revision=revision or None))
            except EntryNotFoundError:
                continue
    except errors as error:
        raise WeightsNotFound(f"the hub does not give {name}: {error}") from error
    raise WeightsNotFound(f"the hub has none of {', '.join(files)} in {name}")


def _from_url(url: str, *, offline: bool) -> Path:
    """Return the file that torch's cache holds of a URL, or downloads into it."""
    torch = frameworks()[0]

    name = url.rpartition("/")[2]
    path = Path(torch.hub.get_dir()) / "checkpoints" / name
    if not path.is_file():
        if offline:
            raise WeightsNotFound("IMGSEARCH_OFFLINE is set")
        weights.reach(url)
        path.parent.mkdir(parents=True, exist_ok=True)
        named = re.search(r"-([0-9a-f]{8,})\.", name)
        try:
            torch.hub.download_url_to_file(url, str(path), named and named[1])
        except (OSError, RuntimeError) as error:
            raise WeightsNotFound(f"{url} was not downloaded: {error}") from error
    weights.check_named(path)
    return path
