"""Weights from the Hugging Face Hub or a URL of timm, cached and checked by sha256."""

import importlib.util
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from imgsearch.encoders.torch.imports import frameworks
from imgsearch.encoders.weights.files import check_named, reach, sha256
from imgsearch.errors import MissingExtra, WeightsInvalid, WeightsNotFound

_SHA256: Final = re.compile(r"[0-9a-f]{64}")


def find(repository: str, files: Sequence[str]) -> Path | None:
    """Return the first of `files` in the hub's cache, or None. Uses no network and checks nothing.

    `repository` is "owner/name", or "owner/name@revision" for a revision other than the newest.
    """
    if importlib.util.find_spec("huggingface_hub") is None:
        return None
    import huggingface_hub as hub

    name, _, revision = repository.partition("@")
    for file in files:
        path = hub.try_to_load_from_cache(name, file, revision=revision or None)
        if isinstance(path, str):
            return Path(path)
    return None


def fetch(repository: str, files: Sequence[str], *, offline: bool = False) -> Path:
    """Return the first of `files` that exists, from the cache or downloaded into it.

    Raises:
        MissingExtra: the hub's client is not installed.
        WeightsNotFound: no file is cached, and the hub has none or does not respond, or `offline`
            forbids downloads.
        WeightsInvalid: the sha256 of the file differs from the hub's.
    """
    path = find(repository, files)
    if path is None:
        path = _download(repository, files, offline=offline)
    check(path)
    return path


def check(path: Path) -> None:
    """Check the content of a cached file if its name is a sha256, as for large files.

    Raises:
        WeightsInvalid: the file has another sha256.
    """
    named = path.resolve().name
    if _SHA256.fullmatch(named) and sha256(path) != named:
        raise WeightsInvalid(f"{path} is corrupt: its sha256 differs. Delete it.")


def timm_weights(config: Any, *, offline: bool = False) -> Path:
    """Return timm's weights for a model, cached or downloaded.

    `config` is timm's `PretrainedCfg`. A cached file is used without a check for a newer one.

    Raises:
        WeightsNotFound: timm has no weights of the model, or its hub does not respond.
        WeightsInvalid: the file has another sha256 than published.
    """
    if not config or not config.has_weights:
        raise WeightsNotFound("timm has none")
    if config.hf_hub_id:
        name = config.hf_hub_filename
        files = [name] if name else ["model.safetensors", "pytorch_model.bin"]
        return fetch(config.hf_hub_id, files, offline=offline)
    return _from_url(config.url if isinstance(config.url, str) else config.url[0], offline=offline)


def _download(repository: str, files: Sequence[str], *, offline: bool) -> Path:
    try:
        import huggingface_hub as hub
        from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError
    except ModuleNotFoundError as error:
        raise MissingExtra(
            "downloads of weights need huggingface_hub", extra="torch", name=error.name
        ) from error
    if offline or hub.constants.HF_HUB_OFFLINE:
        variable = "IMGSEARCH_OFFLINE" if offline else "HF_HUB_OFFLINE"
        raise WeightsNotFound(f"the hub's cache has none, and {variable} is set")
    reach(hub.constants.ENDPOINT)
    # depending on its version, the client raises subclasses of requests' or httpx's errors
    errors: tuple[type[Exception], ...] = (OSError, *HfHubHTTPError.__bases__)
    name, _, revision = repository.partition("@")
    try:
        for file in files:
            try:
                return Path(hub.hf_hub_download(name, file, revision=revision or None))
            except EntryNotFoundError:
                continue
    except errors as error:
        raise WeightsNotFound(f"cannot download {name} from the hub: {error}") from error
    raise WeightsNotFound(f"the hub has none of {', '.join(files)} in {name}")


def _from_url(url: str, *, offline: bool) -> Path:
    """Return the file of a URL from torch's cache, downloaded if it is missing."""
    torch = frameworks()[0]

    name = url.rpartition("/")[2]
    path = Path(torch.hub.get_dir()) / "checkpoints" / name
    if not path.is_file():
        if offline:
            raise WeightsNotFound("IMGSEARCH_OFFLINE is set")
        reach(url)
        path.parent.mkdir(parents=True, exist_ok=True)
        named = re.search(r"-([0-9a-f]{8,})\.", name)
        try:
            torch.hub.download_url_to_file(url, str(path), named and named[1])
        except (OSError, RuntimeError) as error:
            raise WeightsNotFound(f"cannot download {url}: {error}") from error
    check_named(path)
    return path
