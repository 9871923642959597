"""The objects that routes share."""

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
    """An archive, its jobs, and the limits, threads and metrics of the service.

    `workers` run additions, `searches` run searches, and `thumbnails` create thumbnails.
    `embedding` limits the searches that embed at the same time. With `urls` jobs may fetch images.
    `stopping` ends streams of progress, and `streams` is the number of open ones. `checked` is the
    time and the result of the last health check; `checking` prevents two checks at once.
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


async def _here(request: Request) -> Service:  # a plain function would run in a thread
    here: Service = request.app.state.service
    return here


Here = Annotated[Service, Depends(_here)]
"""The service, as an argument of a route."""
