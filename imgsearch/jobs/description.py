"""Describes a new job: its encoder as this machine resolves it, and the columns of its store."""

import importlib.metadata
import platform
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from os import PathLike, fspath
from pathlib import Path
from typing import Any, Final

from imgsearch import distribution, encoders
from imgsearch.backends import Metric
from imgsearch.backends.vectors.files import JobFiles
from imgsearch.backends.vectors.folder import JobDescription, JobFolder
from imgsearch.encoders import Recipe, registry
from imgsearch.encoders.weights import hashes
from imgsearch.errors import EncoderMismatch
from imgsearch.fields import Declaration
from imgsearch.images import MAX_PIXELS
from imgsearch.library.open import open as open_library
from imgsearch.settings import Settings

_PACKAGES: Final = ("numpy", "pillow", "pyarrow", "onnxruntime", "openvino", "torch", "timm")


@dataclass(frozen=True, slots=True)
class NewJob:
    """The options of a new job, as for `imgsearch.open` and `Library.add`."""

    model: str | None = None
    weights: str | PathLike[str] | None = None
    options: Mapping[str, Any] | None = None
    index: str | None = None
    metric: Metric | None = None
    fields: Declaration | None = None
    exif: bool | Sequence[str] | None = None
    max_pixels: int = MAX_PIXELS
    shard: int = 16_384
    reading: Mapping[str, Any] = field(default_factory=dict)


def describe(new: NewJob, files: JobFiles, sources: Sequence[str]) -> JobDescription:
    """Return the description of a job, and copy the model's files into its folder.

    Raises:
        ConfigError, FieldInvalid: an option is invalid.
        EncoderError: the encoder cannot be built.
        BackendError: the folder cannot be written.
    """
    with open_library(
        "memory://",
        collection="imgsearch_job",
        model=new.model or encoders.DEFAULT,
        weights=new.weights,
        options=new.options,
        index=new.index,
        metric=new.metric,
        fields=new.fields,
        exif=new.exif,
        max_pixels=new.max_pixels,
    ) as library:
        library.declare_fields({})  # creates the collection, and so the schema
        schema, recipe, exif = library.collection.schema, library.recipe, library.exif
        pinned = _pinned(recipe, library.encoder.fingerprint.runtime)
    weights = _copied_weights(recipe, files)
    return JobDescription(
        schema=schema,
        recipe={**pinned.config(), "weights": weights},
        shard=new.shard,
        reading={**new.reading, "max_pixels": new.max_pixels, "exif": list(exif)},
        sources=sources,
        versions=_versions(),
    )


def recipe_of(job: JobFolder) -> Recipe:
    """Return the recipe of a job's encoder, with its files on this machine.

    Raises:
        BackendError: the job's folder cannot be read.
    """
    about = job.description.recipe
    weights = about["weights"]
    if weights is not None:
        local = job.files.local(weights)
        weights = str(local if local is not None else _downloaded(job.files, weights))
    return Recipe(about["model"], weights, about["options"])


def require_encoder(job: JobFolder, recipe: Recipe) -> encoders.Encoder:
    """Load the job's encoder, and check that it is the one that the job was planned with.

    Raises:
        EncoderError: it cannot be built here.
        EncoderMismatch: this machine has other weights, or another runtime.
    """
    encoder = encoders.load(**recipe.config())
    wanted, here = job.schema.encoder, encoder.fingerprint
    if wanted is not None and (wanted, wanted.runtime) != (here, here.runtime):
        before, now = asdict(wanted), asdict(here)
        differing = [
            f"{name}: {before[name]!r} in the job, {now[name]!r} here"
            for name in before
            if before[name] != now[name]
        ]
        raise EncoderMismatch(
            f"this machine's encoder differs from the job's ({'; '.join(differing)}). Install the "
            f"same packages: {job.description.versions}."
        )
    return encoder


def _pinned(recipe: Recipe, runtime: str) -> Recipe:
    """Return the recipe with the runtime and precision that were resolved here."""
    name, _, precision = runtime.partition(" ")
    if not (name and precision):
        return recipe
    options = {**(recipe.options or {}), "runtime": name, "precision": precision}
    return replace(recipe, options=options)


def _copied_weights(recipe: Recipe, files: JobFiles) -> str | None:
    """Copy the weights into the job's folder; return their name there, None if a package has them.

    A file of options beside the weights is copied, too. Workers verify the fingerprint of the
    encoder, and so its weights.
    """
    row = registry.find(recipe.model)
    if row is not None and row.package:
        return None
    place = recipe.weights or encoders.on_disk(recipe.model)
    if place is None:
        return None
    source = Path(fspath(place))
    digest = hashes.sha256(source) if source.is_file() else "folder"
    name = f"weights/{digest}/{source.name}"
    parts = [source, source.with_suffix(".json")] if source.is_file() else sorted(source.iterdir())
    for part in parts:
        if part.is_file():
            below = part.name if source.is_file() else f"{source.name}/{part.name}"
            _copy(files, part, f"weights/{digest}/{below}")
    return name


def _copy(files: JobFiles, file: Path, name: str) -> None:
    if files.exists(name):
        return
    root = files.local("drafts")
    if root is not None:
        root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root, prefix="imgsearch-") as folder:
        draft = Path(folder) / "file"
        shutil.copyfile(file, draft)
        files.put(name, draft)


def _downloaded(files: JobFiles, name: str) -> Path:
    """Return the path of a job's file in this machine's cache."""
    cached = Settings.from_environment().cache / "jobs"
    folder = name.rpartition("/")[0]
    names = files.names(folder) or [name.rpartition("/")[2]]
    inner = files.names(name)
    parts = [f"{name}/{part}" for part in inner] if inner else [f"{folder}/{n}" for n in names]
    for part in parts:
        target = cached / part
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=target.parent) as draft_folder:
                draft = Path(draft_folder) / target.name
                draft.write_bytes(files.read(part))
                draft.replace(target)
    return cached / name


def _versions() -> dict[str, str]:
    versions = {"imgsearch": distribution.VERSION, "python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions
