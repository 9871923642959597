"""A function as a POST route of a user's FastAPI application, as ``.serve()`` of Towhee 0.x."""

import json
from collections.abc import Callable
from importlib import import_module
from typing import Any, Final

from imgsearch.errors import ConfigError

_BODY: Final = 64 * 2**20  # bytes; larger bodies are refused


def add_route(app: Any, path: str, function: Callable[[Any], Any]) -> Any:
    """Add the route to `app`, and return it. The function runs in a thread.

    Raises:
        ConfigError: no application is given.
    """
    if app is None:
        raise ConfigError("serve() needs an application. Write .serve(PATH, app=FastAPI()).")
    # by name, because FastAPI is an extra, and is there if the user has an application
    responses = import_module("starlette.responses")
    run = import_module("starlette.concurrency").run_in_threadpool

    async def answer(request: Any) -> Any:
        body = bytearray()
        async for part in request.stream():
            body += part
            if len(body) > _BODY:
                return responses.JSONResponse({"detail": "the body is too large"}, 413)
        image = request.headers.get("content-type", "").startswith("image/")
        value = bytes(body) if image else body.decode("utf-8", "replace")
        result = await run(function, value)
        plain = vars(result) if hasattr(result, "__dict__") else result
        return responses.Response(json.dumps(plain, default=str), media_type="application/json")

    app.add_route(path, answer, methods=["POST"])
    return app
