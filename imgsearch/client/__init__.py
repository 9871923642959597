"""A client of the service: what `imgsearch.Library` does, over HTTP."""

from imgsearch.errors import MissingExtra

try:
    from imgsearch.client.client import Client
except ModuleNotFoundError as error:
    if error.name != "httpx":
        raise
    raise MissingExtra("the client needs httpx", extra="client", name="httpx") from error

from imgsearch.client.answers import Collection, Image, JobState, Model
from imgsearch.client.job import Job

__all__ = ["Client", "Collection", "Image", "Job", "JobState", "Model"]
