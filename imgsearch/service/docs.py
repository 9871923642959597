"""The API documentation pages. They load nothing from other hosts."""

from importlib.util import find_spec
from pathlib import Path
from typing import Final

from fastapi import APIRouter, FastAPI
from fastapi.responses import HTMLResponse, JSONResponse, Response
from starlette.staticfiles import StaticFiles

from imgsearch.errors import MissingExtra
from imgsearch.service.parameters import ONLY_KNOWN

_PACKAGE: Final = "fastapi_offline"  # contains Swagger UI and Redoc; never imported
_PAGE: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>imgsearch: {title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">{style}</head>
<body>{body}<script src="/docs/assets/{script}"></script>{start}</body></html>
"""
_START: Final = (
    'SwaggerUIBundle({url: "/openapi.json", dom_id: "#docs", deepLinking: true, '
    "tryItOutEnabled: true, validatorUrl: null});"
)


def install(app: FastAPI) -> None:
    """Add /openapi.json, /docs (Swagger UI) and /redoc (Redoc).

    Raises:
        MissingExtra: the package with the pages' scripts is not installed.
    """
    router = APIRouter(include_in_schema=False, dependencies=[ONLY_KNOWN])

    @router.get("/openapi.json")
    def document() -> JSONResponse:
        return JSONResponse(app.openapi())

    @router.get("/docs")
    def swagger() -> HTMLResponse:
        return _page(
            "try it out",
            "swagger-ui-bundle.js",
            '<div id="docs"></div>',
            style='<link rel="stylesheet" href="/docs/assets/swagger-ui.css">',
            start='<script src="/docs/start.js"></script>',
        )

    @router.get("/docs/start.js")
    def start() -> Response:
        return Response(_START, media_type="text/javascript")

    @router.get("/redoc")
    def redoc() -> HTMLResponse:
        body = '<redoc spec-url="/openapi.json" disable-search="true"></redoc>'
        return _page("reference", "redoc.standalone.js", body)

    app.include_router(router)
    app.mount("/docs/assets", StaticFiles(directory=_assets()))


def _page(title: str, script: str, body: str, *, style: str = "", start: str = "") -> HTMLResponse:
    return HTMLResponse(
        _PAGE.format(title=title, script=script, body=body, style=style, start=start)
    )


def _assets() -> Path:
    spec = find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        raise MissingExtra("the service needs fastapi-offline", extra="service", name=_PACKAGE)
    return Path(spec.origin).parent / "static"
