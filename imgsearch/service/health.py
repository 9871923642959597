"""Routes for who runs the service: whether it lives, is ready and does its work; its metrics."""

import logging
import time
from typing import Final

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse

from imgsearch.errors import ImgSearchError
from imgsearch.library.models import described
from imgsearch.service.parameters import ONLY_KNOWN
from imgsearch.service.scopes import allowed
from imgsearch.service.service import Here
from imgsearch.wire import responses

router = APIRouter(tags=["service"])
_FRESH: Final = 1.0  # seconds; anybody may ask, and it takes the cores' time
_log = logging.getLogger(__name__)


@router.get("/v1/live", dependencies=[ONLY_KNOWN])
async def live() -> responses.Status:
    """Tell that the process answers; nothing else is asked."""
    return responses.Status(status="ok")


@router.get("/v1/ready", responses={503: {"model": responses.Status}}, dependencies=[ONLY_KNOWN])
def ready(here: Here) -> Response:
    """Tell whether requests are taken: the catalogue answers, and the service is not stopping."""
    well = not here.stopping
    try:
        here.archive.catalog.ping()
    except ImgSearchError:
        _log.warning("the catalogue does not answer", exc_info=True)
        well = False
    told = responses.Status(status="ok" if well else "stopping")
    return JSONResponse(told.model_dump(), 200 if well else 503)


@router.get(
    "/v1/health",
    response_model=responses.Health,
    responses={503: {"model": responses.Health}},
    dependencies=[ONLY_KNOWN],
)
async def health(here: Here) -> Response:
    """Embed an image and search for it; tell of each part whether it does its work."""
    async with here.checking:
        at, found = here.checked
        if time.monotonic() - at > _FRESH:
            with here.metrics.stage("health"):
                found = await here.workers.run(here.archive.health)
            here.checked = (time.monotonic(), found)
            for part, why in found.items():
                if why != "ok":
                    _log.warning("%s: %s", part, why)
    well = all(why == "ok" for why in found.values())
    told = responses.Health(
        status="ok" if well else "failing",
        parts={part: "ok" if why == "ok" else "failing" for part, why in found.items()},
    )
    return JSONResponse(told.model_dump(), 200 if well else 503)


@router.get("/v1/models", dependencies=[allowed("read")])
def models_(here: Here) -> responses.Encoders:
    """List the encoders that collections may be made with."""
    told = [
        responses.Encoder(
            name=each.name,
            dim=each.dim,
            description=each.description,
            texts=bool(each.languages),
            installed=each.installed,
            licence=each.licence,
        )
        for each in described()
    ]
    library = here.archive.default()
    return responses.Encoders(default=library.model if library else "", models=told)


@router.get(
    "/metrics",
    dependencies=[allowed("read")],
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
def metrics(here: Here) -> Response:
    """Tell counters and times, as Prometheus reads them."""
    return Response(here.metrics.text(), media_type=here.metrics.media_type)
