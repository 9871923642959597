"""Embeds images into the folder of a job, on this machine or on a cluster."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from os import PathLike, fspath
from typing import Any, Final

from imgsearch.backends import Metric
from imgsearch.backends.vectors.files import JobFiles
from imgsearch.backends.vectors.folder import PLANNED, JobDescription, JobFolder
from imgsearch.backends.vectors.place import ABOUT
from imgsearch.backends.vectors.writer import JobWriter
from imgsearch.encoders import Recipe
from imgsearch.errors import ConfigError, EncoderMismatch
from imgsearch.fields import Declaration, declared
from imgsearch.images import MAX_PIXELS, checked_limit, inputs, web_images
from imgsearch.images.inputs import Input, field_types
from imgsearch.images.reading import Reading
from imgsearch.images.sampling import Sampling
from imgsearch.images.videos import reads_folders
from imgsearch.jobs import engines
from imgsearch.jobs.description import NewJob, describe
from imgsearch.jobs.listing import Listing
from imgsearch.jobs.plan import Planner
from imgsearch.jobs.run import JobRun
from imgsearch.jobs.shard import ShardWork
from imgsearch.library.progress import Progress, Report
from imgsearch.library.progress_bar import progress_bar
from imgsearch.settings import Settings
from imgsearch.types import Failure

SHARD: Final = 16_384
_MOST: Final = 10**6  # sources in a shard; its rows are in memory until they are written


class EmbeddingJob(JobFolder):
    """The folder of a job after a call of `embed`, whose outcome is `report`."""

    report: Report

    def __init__(self, files: JobFiles, description: JobDescription) -> None:
        super().__init__(files, description)
        self.report = Report(0, 0, 0, 0, 0.0)


def embed(
    *images: Input,
    to: str | PathLike[str],
    model: str | None = None,
    weights: str | PathLike[str] | None = None,
    options: Mapping[str, Any] | None = None,
    engine: str = "here",
    cluster: str | None = None,
    gpus: float = 0.0,
    shard: int = SHARD,
    threads: int | None = None,
    index: str | None = None,
    metric: Metric | None = None,
    fields: Declaration | None = None,
    all_fields: bool = False,
    exif: bool | Sequence[str] | None = None,
    max_pixels: int = MAX_PIXELS,
    path_column: str | None = None,
    label_column: str | None = None,
    url_hosts: Sequence[str] | None = (),
    exclude: Sequence[str] = (),
    frames: str | float = 1.0,
    retry: bool = False,
    token: str | None = None,
    progress: bool | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    on_failure: Callable[[Failure], None] | None = None,
    on_ignored: Callable[[str], None] | None = None,
) -> EmbeddingJob:
    """Embed images into the folder `to`, by shards of `shard` images; return the job.

    The vectors, ids, labels and failures are the same as by `Library.add`, which also describes
    `images` and most options. A job that was interrupted goes on when `embed` is called again, with
    or without `images`: shards that are done are not run again, and new images become new shards.
    With `retry`, shards that were given up run again, too.

    `to` is a folder that all workers reach, or ``s3://bucket/prefix``; `token` is ``KEY:SECRET`` of
    S3. `engine` is "here", "ray" or "daft". `cluster` is the address of Ray's or Daft's cluster,
    `gpus` the number for each worker, and `threads` the number of threads of each worker: by
    default, the cores that it has. The job records the model, with the runtime and the precision
    that were chosen here, so that all workers compute the same vectors.

    The folder is a store to read: `imgsearch.open(to)`, `imgsearch.connect(to)`.

    >>> import tempfile, numpy as np
    >>> pixels = np.zeros((8, 8, 3), np.uint8)
    >>> job = embed([("a.png", pixels)], to=tempfile.mkdtemp(), model="classic")
    >>> (job.report.added, job.progress().is_complete)
    (1, True)

    Raises:
        ConfigError: an option is invalid, or there is no job and no image.
        SourceError: a folder, glob or list does not exist or names no path.
        EncoderError: the encoder cannot be built, or is not the job's.
        MissingExtra: the engine is not installed.
        BackendError: the folder cannot be read or written.
    """
    checked_limit(max_pixels)
    new = NewJob(
        model, weights, options, index, metric, fields, exif, max_pixels, _checked_shard(shard),
        _reading(path_column, label_column, all_fields, exclude, frames, url_hosts),
    )  # fmt: skip
    runner = engines.engine(engine, engines.EngineOptions(cluster, gpus))
    place = fspath(to)
    token = token or Settings.from_environment().token(place)
    with progress_bar(progress, on_progress) as show:
        listing = Listing(on_ignored)
        job = _planning(place, token, new, images, listing)
        if retry:
            job.retry()
        run = JobRun(job, ShardWork(job.url, token, threads), runner, listing)
        embedded = EmbeddingJob(job.files, job.description)
        embedded.report = run.run(show, on_failure)
    return embedded


def _planning(
    place: str, token: str | None, new: NewJob, images: Sequence[Input], listing: Listing
) -> JobWriter:
    """Open or create the job in a folder, and begin to plan its new sources.

    Raises: as for `embed`.
    """
    files = JobFiles(place, token=token)
    job = JobWriter.open(place, token=token) if files.exists(ABOUT) else None
    if job is not None:
        _require_model(job, new)
    if not images:
        images = _unplanned(files, job)
    types = dict(declared(new.fields)) if job is None else dict(job.schema.fields)
    given = new.reading if job is None else {**job.description.reading, **_set(new.reading)}
    sampling = Sampling.parse(given["frames"])
    reading = Reading(
        given["path_column"],
        listing.ignore,
        listing.note,
        given["label_column"],
        all_fields=given["all_fields"],
        exclude=tuple(given["exclude"]),
        with_videos=reads_folders(sampling),
        url_hosts=web_images.allowed(given.get("url_hosts", ())),
    )
    if given["all_fields"] and job is None:
        types = {**field_types(list(images), reading), **types}
    reading = replace(reading, types=types)
    references = [inputs.references(image, reading) for image in images]
    if job is None:
        texts = [str(fspath(image)) for image in images if isinstance(image, str | PathLike)]
        listed = texts if len(texts) == len(images) else []
        described = describe(replace(new, fields=types), files, listed)
        job = JobWriter.create(place, described, token=token)
    done = set(job.shards())
    listing.waiting = [shard for shard in job.planned() if shard not in done]
    if references:
        planner = Planner(
            job, types=job.schema.fields, max_pixels=new.max_pixels, on_note=listing.note
        )
        listing.start(planner, chain.from_iterable(references))
    return job


def _unplanned(files: JobFiles, job: JobWriter | None) -> Sequence[Input]:
    """Return the sources of a job whose plan is not complete; empty if it is.

    Raises:
        ConfigError: there is no job, or its sources are not recorded, as images in memory are not.
    """
    if job is None:
        raise ConfigError(
            f"there is no job in {files.title} yet: give its images, too. imgsearch embed SOURCE "
            f"--to {files.title}"
        )
    if job.files.exists(PLANNED):
        return ()
    if not job.description.sources:
        raise ConfigError(
            f"the plan of the job in {files.title} is not complete, and its images were not paths: "
            "give them again."
        )
    return job.description.sources


def _require_model(job: JobWriter, new: NewJob) -> None:
    """Check that a model that is named is the job's.

    Raises:
        EncoderMismatch: it is not.
    """
    if new.model is None:
        return
    known, wanted = job.description.recipe["model"], Recipe.of(new.model, new.weights).model
    if wanted != known:
        raise EncoderMismatch(
            f"the job in {job.files.title} embeds with {known!r}, not with {wanted!r}. Omit the "
            "model, or choose another folder."
        )


def _checked_shard(number: object) -> int:
    if isinstance(number, bool) or not isinstance(number, int) or not 1 <= number <= _MOST:
        raise ConfigError(f"shard must be 1 to {_MOST:,} images, not {number!r}")
    return number


def _reading(
    path_column: str | None,
    label_column: str | None,
    all_fields: bool,  # noqa: FBT001 - a caller's option
    exclude: Sequence[str],
    frames: str | float,
    url_hosts: Sequence[str] | None,
) -> dict[str, Any]:
    """Return the options of sources as plain values."""
    return {
        "path_column": path_column,
        "label_column": label_column,
        "all_fields": all_fields,
        "exclude": list(exclude),
        "frames": str(frames),
        "url_hosts": None if url_hosts is None else list(url_hosts),
    }


def _set(reading: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that name columns or patterns; for others, the job's hold."""
    return {
        name: reading[name] for name in ("path_column", "label_column", "exclude") if reading[name]
    }
