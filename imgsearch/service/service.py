"""What the routes work with."""

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
    """An archive, its jobs, and all that guards and measures their use.

    `workers` run what adds, `searches` what searches, `thumbnails` what makes those. As many
    searches embed at once as `embedding` lets; the others wait, or are in the store together.
    `urls`: jobs may fetch images. `stopping` is True once no more progress is to be streamed;
    `streams` are those open.
    `checked` is what the last look at the parts' health said, and when; `checking` lets one look.
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


async def _here(request: Request) -> Service:  # else it is looked up in a thread, each time
    here: Service = request.app.state.service
    return here


Here = Annotated[Service, Depends(_here)]
"""The service, as an argument of a route."""
