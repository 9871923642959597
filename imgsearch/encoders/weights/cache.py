"""Weights brought to this machine as whole folders: checked by sha256, and good to copy on.

``CACHE/models/NAME/`` holds a model's files and manifest.json, written last, which tells the
sha256 of each. The same folder, carried on a disk, brings the model to a machine without network.
"""

import contextlib
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any, Final

from imgsearch import safe_json
from imgsearch.encoders.plan import Plan
from imgsearch.encoders.torch.imports import frameworks
from imgsearch.encoders.weights import files as weights
from imgsearch.encoders.weights import hub
from imgsearch.errors import WeightsInvalid, WeightsNotFound

MANIFEST: Final = "manifest.json"
_WEIGHTS: Final = {
    "timm": ("model.safetensors", "pytorch_model.bin"),
    "clip": ("open_clip_model.safetensors", "open_clip_pytorch_model.bin"),
}


def files(family: str) -> tuple[str, ...]:
    """Return the names that a family's weights have on a hub, the best first."""
    return _WEIGHTS.get(family, ())


def find(cache: Path, model: str) -> Path | None:
    """Return what `imgsearch.encoders.load` takes as `weights` of a model that was pulled, or None.

    Raises:
        WeightsInvalid: the folder is there, but not what was pulled.
    """
    folder = _folder(cache / "models", model)
    if not (folder / MANIFEST).is_file():
        return None
    names = check(folder)
    return folder if len(names) > 1 else folder / names[0]


def check(folder: Path) -> list[str]:
    """Return the names of a pulled folder's files, all of which are what the manifest says.

    Raises:
        WeightsNotFound: there is no such folder, or it has no manifest.
        WeightsInvalid: a file is missing or another one; or the manifest is none.
    """
    try:
        told = safe_json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        named = {str(name): str(digest) for name, digest in told["files"].items()}
    except OSError as error:
        raise WeightsNotFound(f"{folder} holds no model that was pulled: {error}") from error
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise WeightsInvalid(f"{folder / MANIFEST} is no manifest of a model") from error
    if not named:
        raise WeightsInvalid(f"{folder / MANIFEST} names no files")
    for name, digest in named.items():
        if Path(name).name != name or not (folder / name).is_file():
            raise WeightsInvalid(f"{folder} lacks {name}: pull the model again")
        if weights.sha256(folder / name) != digest:
            raise WeightsInvalid(f"{folder / name} has another sha256 than when it was pulled")
    return list(named)


def pull(plan: Plan, repository: str, target: Path, *, offline: bool = False) -> Path:
    """Return the folder in `target` that now holds the model's weights, fetched if need be.

    `repository` is the hub's, "" to ask timm or open_clip.

    Raises:
        WeightsNotFound: no hub has them, or none answers.
        WeightsInvalid: what came is not what the hub named.
        MissingExtra: what the model needs is not installed.
        OSError: the folder cannot be written.
    """
    if not repository and plan.family == "timm":
        config = frameworks()[1].get_pretrained_cfg(plan.name)
        found = [hub.timm_weights(config, offline=offline)]
    else:
        repository = repository or _published(plan)
        found = [hub.fetch(repository, files(plan.family), offline=offline)]
    if plan.family == "clip":
        found += _beside(repository, plan.name, offline=offline)
    sources = {path.name: path for path in found}
    return _write(target, plan.label, {"source": repository}, sources)


def bring(model: str, source: Path, cache: Path) -> Path:
    """Return the folder in the cache that now holds a model, copied from where `pull` put it.

    Raises:
        WeightsNotFound, WeightsInvalid: as `check`.
        OSError: the folder cannot be written.
    """
    folder = _folder(source, model)
    names = check(folder)
    told = safe_json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    sources = {name: folder / name for name in names}
    return _write(cache / "models", model, {"source": told.get("source", "")}, sources)


def _write(root: Path, model: str, told: dict[str, Any], sources: dict[str, Path]) -> Path:
    """Copy the files into the model's folder below `root`, whole or not at all."""
    place = _folder(root, model)
    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root, prefix=".part-") as part:
        draft = Path(part) / "model"
        draft.mkdir()
        for name, path in sources.items():
            shutil.copyfile(path, draft / name)
        digests = {name: weights.sha256(draft / name) for name in sources}
        text = json.dumps({"model": model, **told, "files": digests}, indent=1)
        (draft / MANIFEST).write_text(text, encoding="utf-8")
        if (place / MANIFEST).is_file():
            shutil.rmtree(place)  # an older one of the same model
        elif place.exists():
            raise WeightsInvalid(f"{place} is there already, and is no model that was pulled")
        draft.replace(place)
    return place


def _beside(repository: str, name: str, *, offline: bool) -> list[Path]:
    """Return what a CLIP's texts need, and its description if the hub has one."""
    from imgsearch.encoders.clip import model as clip_model

    found = []
    with contextlib.suppress(WeightsNotFound):
        found.append(hub.fetch(repository, [clip_model.CONFIG], offline=offline))
    for other, file in clip_model.beside(name):
        own = file != clip_model.TEXT_CONFIG  # which here describes the text side alone
        try:
            found.append(hub.fetch(repository if own else other, [file], offline=offline))
        except WeightsNotFound:
            found.append(hub.fetch(other, [file], offline=offline))
    return found


def _folder(root: Path, model: str) -> Path:
    return root / model.replace(":", "--").replace("/", "--")


def _published(plan: Plan) -> str:
    """Return the hub's repository of an open_clip model.

    Raises:
        WeightsNotFound: it is not published there.
    """
    from imgsearch.encoders.clip import model as clip_model

    repository = clip_model.repository(plan.name)
    if not repository:
        raise WeightsNotFound(f"open_clip has no weights of {plan.name} on a hub")
    return repository
