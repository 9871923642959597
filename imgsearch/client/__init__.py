"""A client for the service, with the interface of `imgsearch.Library` over HTTP.

`Collection` and `Model` are the records that `Client.collections` and `Client.models` return, and
`Job` is the handle that `Client.add_folder` returns.
"""

from imgsearch.client.async_client import AsyncClient
from imgsearch.client.client import Client
from imgsearch.client.job_handle import JobHandle as Job
from imgsearch.types import Hit
from imgsearch.wire.responses import CollectionInfo as Collection
from imgsearch.wire.responses import Image, JobState
from imgsearch.wire.responses import ModelInfo as Model

__all__ = ["AsyncClient", "Client", "Collection", "Hit", "Image", "Job", "JobState", "Model"]
