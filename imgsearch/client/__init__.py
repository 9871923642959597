"""A client for the service, with the methods of `imgsearch.Library` over HTTP."""

from imgsearch.client.client import Client
from imgsearch.client.job_handle import JobHandle
from imgsearch.wire.responses import CollectionInfo, Image, JobState, ModelInfo

__all__ = ["Client", "CollectionInfo", "Image", "JobHandle", "JobState", "ModelInfo"]
