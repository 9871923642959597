"""The state that routes share."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request

from imgsearch.archive import Archive, Jobs
from imgsearch.service.limits import Limits
from imgsearch.service.metrics import Metrics
from imgsearch.service.scopes import Access
from imgsearch.service.workers import Turns, Workers


@dataclass(slots=True)
class Service:
    """An archive with its jobs, and the service's limits, threads and metrics.

    `workers` run additions, `searches` run searches, and `thumbnails` create thumbnails.
    `embedding` limits the number of concurrent query embeddings. With `urls`, jobs may fetch images
    by URL. `stopping` ends progress streams; `streams` is the number of open ones. `checked` is the
    time and result of the last health check; `checking` prevents concurrent checks.
    """

    archive: Archive
    jobs: Jobs
    access: Access
    limits: Limits
    workers: Workers
    searches: Workers
    embedding: Turns
    thumbnails: Workers
    metrics: Metrics
    urls: bool = False
    stopping: bool = False
    streams: int = 0
    checking: asyncio.Lock = field(default_factory=asyncio.Lock)
    checked: tuple[float, Mapping[str, str]] = (float("-inf"), {})


async def _here(request: Request) -> Service:  # not a plain function, which would run in a thread
    here: Service = request.app.state.service
    return here


Here = Annotated[Service, Depends(_here)]
"""Parameter type with which a route receives the service."""
