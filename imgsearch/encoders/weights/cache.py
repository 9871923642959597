"""The cache of downloaded weights: a folder for each model, checked by sha256.

``CACHE/models/NAME/`` has a model's files and manifest.json with their sha256. The manifest is
written last. The folder can be copied on a disk to a machine without network.
"""

import contextlib
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any, Final

from imgsearch.encoders.recipe import Plan
from imgsearch.encoders.torch.imports import frameworks
from imgsearch.encoders.weights import hashes, hub
from imgsearch.encoders.weights.files import sha256
from imgsearch.errors import WeightsInvalid, WeightsNotFound
from imgsearch.text import load_json

MANIFEST: Final = "manifest.json"
_WEIGHTS: Final = {
    "timm": ("model.safetensors", "pytorch_model.bin"),
    "clip": ("open_clip_model.safetensors", "open_clip_pytorch_model.bin"),
}


def files(family: str) -> tuple[str, ...]:
    """Return the file names of a family's weights on a hub, in order of preference."""
    return _WEIGHTS.get(family, ())


def find(cache: Path, model: str) -> Path | None:
    """Return a downloaded model's file or folder for `imgsearch.encoders.load`, or None.

    Raises:
        WeightsInvalid: the folder exists, but its files have changed.
    """
    folder = _folder(cache / "models", model)
    if not (folder / MANIFEST).is_file():
        return None
    names = check(folder)
    return folder if len(names) > 1 else folder / names[0]


def check(folder: Path) -> list[str]:
    """Check a model's folder against its manifest, and return its file names.

    Raises:
        WeightsNotFound: the folder or its manifest is missing.
        WeightsInvalid: a file is missing or has changed, or the manifest is invalid.
    """
    try:
        manifest = load_json((folder / MANIFEST).read_text(encoding="utf-8"))
        digests = {str(name): str(digest) for name, digest in manifest["files"].items()}
    except OSError as error:
        raise WeightsNotFound(f"{folder} holds no model that was pulled: {error}") from error
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise WeightsInvalid(f"{folder / MANIFEST} is not a model's manifest") from error
    if not digests:
        raise WeightsInvalid(f"{folder / MANIFEST} names no files")
    for name, digest in digests.items():
        if Path(name).name != name or not (folder / name).is_file():
            raise WeightsInvalid(f"{folder} lacks {name}. Pull the model again.")
        if hashes.sha256(folder / name) != digest:
            raise WeightsInvalid(
                f"{folder / name} has another sha256 than when it was pulled. Pull the model again."
            )
    return list(digests)


def pull(plan: Plan, repository: str, target: Path, *, offline: bool = False) -> Path:
    """Fetch a model's weights into a folder in `target`, and return the folder.

    `repository` is a repository of the hub, or "" for the one that timm or open_clip names.

    Raises:
        WeightsNotFound: no hub has the weights or responds.
        WeightsInvalid: the sha256 of the weights differs from the hub's.
        MissingExtra: a package that the model needs is not installed.
        OSError: the folder cannot be written.
    """
    if not repository and plan.family == "timm":
        config = frameworks()[1].get_pretrained_cfg(plan.name)
        paths = [hub.timm_weights(config, offline=offline)]
    else:
        repository = repository or _open_clip_repository(plan)
        paths = [hub.fetch(repository, files(plan.family), offline=offline)]
    if plan.family == "clip":
        paths += _fetch_text_files(repository, plan.name, offline=offline)
    sources = {path.name: path for path in paths}
    return _write(target, plan.label, {"source": repository}, sources)


def copy(model: str, source: Path, cache: Path) -> Path:
    """Copy a model from a `target` of `pull` into the cache, and return its folder there.

    Raises:
        WeightsNotFound, WeightsInvalid: see `check`.
        OSError: the folder cannot be written.
    """
    folder = _folder(source, model)
    names = check(folder)
    manifest = load_json((folder / MANIFEST).read_text(encoding="utf-8"))
    sources = {name: folder / name for name in names}
    return _write(cache / "models", model, {"source": manifest.get("source", "")}, sources)


def _write(root: Path, model: str, facts: dict[str, Any], sources: dict[str, Path]) -> Path:
    """Copy files atomically into the model's folder in `root`."""
    folder = _folder(root, model)
    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root, prefix=".part-") as part:
        draft = Path(part) / "model"
        draft.mkdir()
        for name, path in sources.items():
            shutil.copyfile(path, draft / name)
        digests = {name: sha256(draft / name) for name in sources}
        text = json.dumps({"model": model, **facts, "files": digests}, indent=1)
        (draft / MANIFEST).write_text(text, encoding="utf-8")
        if (folder / MANIFEST).is_file():
            shutil.rmtree(folder)  # an older download of the model
        elif folder.exists():
            raise WeightsInvalid(
                f"{folder} already exists, and is not a model that was pulled. Remove the folder."
            )
        draft.replace(folder)
    return folder


def _fetch_text_files(repository: str, name: str, *, offline: bool) -> list[Path]:
    """Fetch the files of a CLIP model's text side, and its configuration if the hub has one."""
    from imgsearch.encoders.clip import model as clip_model

    paths = []
    with contextlib.suppress(WeightsNotFound):
        paths.append(hub.fetch(repository, [clip_model.CONFIG], offline=offline))
    for other, file in clip_model.text_files(name):
        own = file != clip_model.TEXT_CONFIG  # it describes the text side of the other model
        try:
            paths.append(hub.fetch(repository if own else other, [file], offline=offline))
        except WeightsNotFound:
            paths.append(hub.fetch(other, [file], offline=offline))
    return paths


def _folder(root: Path, model: str) -> Path:
    return root / model.replace(":", "--").replace("/", "--")


def _open_clip_repository(plan: Plan) -> str:
    """Return the hub's repository of an open_clip model.

    Raises:
        WeightsNotFound: the model has no repository.
    """
    from imgsearch.encoders.clip import model as clip_model

    repository = clip_model.repository(plan.name)
    if not repository:
        raise WeightsNotFound(f"open_clip has no weights of {plan.name} on a hub")
    return repository
