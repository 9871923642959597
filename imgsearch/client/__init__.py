"""A client of the service: the verbs of `imgsearch.Library`, over HTTP."""

from imgsearch.client.answers import Collection, Image, JobState, Model
from imgsearch.client.client import Client
from imgsearch.client.job import Job

__all__ = ["Client", "Collection", "Image", "Job", "JobState", "Model"]
