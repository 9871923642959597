"""Routes of the service itself: liveness, readiness, health, encoders and metrics."""

import logging
import time
from typing import Annotated, Final

from fastapi import APIRouter, Query, Response
from fastapi.responses import JSONResponse

from imgsearch.errors import ImgSearchError
from imgsearch.library.models import described
from imgsearch.logs import Level, recent_lines
from imgsearch.service.parameters import ONLY_KNOWN
from imgsearch.service.scopes import allowed
from imgsearch.service.service import Here
from imgsearch.wire import responses

router = APIRouter(tags=["service"])
_FRESH: Final = 1.0  # seconds between two checks, because a check costs CPU time and needs no key
_log = logging.getLogger(__name__)


@router.get("/v1/live", dependencies=[ONLY_KNOWN])
async def check_liveness() -> responses.Status:
    """Check that the process responds; nothing else is tested."""
    return responses.Status(status="ok")


@router.get("/v1/ready", responses={503: {"model": responses.Status}}, dependencies=[ONLY_KNOWN])
def check_readiness(here: Here) -> Response:
    """Check that the catalog responds and the service is not stopping."""
    ready = not here.process.stopping
    try:
        here.archive.catalog.ping()
    except ImgSearchError:
        _log.warning("the catalog does not answer", exc_info=True)
        ready = False
    status = responses.Status(status="ok" if ready else "stopping")
    return JSONResponse(status.model_dump(), 200 if ready else 503)


@router.get(
    "/v1/health",
    response_model=responses.Health,
    responses={503: {"model": responses.Health}},
    dependencies=[ONLY_KNOWN],
)
async def check_health(here: Here) -> Response:
    """Check each part of the service by embedding an image and searching for it."""
    async with here.process.checking:
        checked_at, states = here.process.checked
        if time.monotonic() - checked_at > _FRESH:
            with here.metrics.stage("health"):
                states = await here.workers.run(here.archive.health)
            here.process.checked = (time.monotonic(), states)
            for part, state in states.items():
                if state != "ok":
                    _log.warning("%s: %s", part, state)
    healthy = all(state == "ok" for state in states.values())
    health = responses.Health(
        status="ok" if healthy else "failing",
        parts={part: "ok" if state == "ok" else "failing" for part, state in states.items()},
    )
    return JSONResponse(health.model_dump(), 200 if healthy else 503)


@router.get("/v1/models", dependencies=[allowed("read", limited=True)])
def list_models(here: Here) -> responses.Models:
    """List the encoders that collections can be created with."""
    models = [
        responses.ModelInfo(
            name=model.name,
            dim=model.dim,
            description=model.description,
            texts=bool(model.languages),
            installed=model.installed,
            licence=model.licence,
        )
        for model in described()
    ]
    library = here.archive.default()
    return responses.Models(default=library.model if library is not None else "", models=models)


@router.get("/v1/log", dependencies=[allowed("admin")])
async def list_log_lines(
    most: Annotated[int, Query(ge=1, le=1_000)] = 200, level: Level = "debug"
) -> responses.Log:
    """List the newest lines of the service's log, oldest first."""
    names = responses.LogLine.model_fields
    return responses.Log(
        lines=[
            responses.LogLine(**{name: line[name] for name in names if name in line})
            for line in recent_lines(most, level=level)
        ]
    )


@router.get(
    "/metrics",
    dependencies=[allowed("read")],
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
def get_metrics(here: Here) -> Response:
    """Get counters and timings in Prometheus format."""
    return Response(here.metrics.text(), media_type=here.metrics.media_type)
