"""JSON bodies, which FastAPI would read and parse before it asks whose they are.

A dependency reads them instead: those that check keys come before it.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import Depends, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect

from imgsearch.service.problems import Problem


def json_body(model: type[BaseModel]) -> Any:
    """Return the dependency that reads a route's body as `model`; see `described`."""

    async def read(request: Request) -> Any:
        kind = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise Problem(415, "media_type_unsupported", "JSON is wanted.")
        return await model_of(request, model)

    reader: Callable[[Request], Awaitable[Any]] = read
    return Depends(reader)


def described(model: type[BaseModel]) -> dict[str, Any]:
    """Return what the OpenAPI document says of such a body, as a route's `openapi_extra`."""
    schema = {"$ref": f"#/components/schemas/{model.__name__}"}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


async def model_of(request: Request, model: type[BaseModel]) -> Any:
    """Return a JSON body as `model`.

    Raises:
        Problem: the client went away.
        RequestValidationError: the body is no JSON, or does not fit.
    """
    try:
        body = await request.body()
    except ClientDisconnect as error:
        raise Problem(400, "disconnected", "The client went away.") from error
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_input=False)
        raise RequestValidationError(
            [{**fault, "loc": ("body", *fault["loc"])} for fault in faults]
        ) from error
