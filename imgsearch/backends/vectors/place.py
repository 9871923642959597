"""URLs of job folders: ``vectors:///abs/JOB``, ``vectors:s3://bucket/prefix?endpoint=…``."""

from os import PathLike, fspath
from pathlib import Path
from typing import Final

from imgsearch.errors import ConfigError
from imgsearch.s3_url import S3Url

SCHEME: Final = "vectors:"
ABOUT: Final = "job.json"
"""The file by which a job folder is recognized; it describes the job."""


def canonical(url: str | PathLike[str]) -> str:
    """Return the URL of a job folder in its canonical form. The folder need not exist.

    Raises:
        ConfigError: the path or the S3 URL is invalid.
    """
    url = fspath(url)
    place = url.removeprefix(SCHEME)
    if place.startswith("s3://"):
        return f"{SCHEME}{S3Url.parse(place)}".removesuffix("?region=us-east-1")
    if place.startswith("//"):
        place = place.removeprefix("//")
    if not place or "\0" in place:
        raise ConfigError(f"job folder {url!r} is invalid. Use a folder or s3://BUCKET/PREFIX.")
    try:
        return f"{SCHEME}//{Path(place).expanduser().resolve()}"
    except (RuntimeError, OSError) as error:  # ~NAME without such a user; a name that is too long
        raise ConfigError(f"job folder {place[:80]!r} is invalid: {error}") from error


def is_job(url: str) -> bool:
    """Return whether a URL names a job folder: by its scheme, or a folder with a job.json."""
    if url.startswith((SCHEME, "s3://")):
        return True
    try:
        return "://" not in url and (Path(url).expanduser() / ABOUT).is_file()
    except (OSError, RuntimeError, ValueError):
        return False


def exists(url: str) -> bool:
    """Return whether there is a job at a canonical URL. Always True for S3."""
    place = url.removeprefix(f"{SCHEME}//")
    return place.startswith(SCHEME) or (Path(place) / ABOUT).is_file()
