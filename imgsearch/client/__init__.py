"""A client for the service, with the methods of `imgsearch.Library` over HTTP."""

from imgsearch.client.client import Client
from imgsearch.client.job import Job
from imgsearch.client.records import Collection, Image, JobState, Model

__all__ = ["Client", "Collection", "Image", "Job", "JobState", "Model"]
