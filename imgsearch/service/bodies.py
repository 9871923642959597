"""JSON bodies, read by a dependency that runs after the API key check.

FastAPI would read and parse a declared body before any dependency, even without a valid key.
"""

from typing import Any

from fastapi import Depends, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect

from imgsearch.service.problems import HttpProblem


def json_body(model: type[BaseModel]) -> Any:
    """Return a dependency that parses a JSON body as `model`; `described` documents the body."""

    async def read(request: Request) -> Any:
        kind = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise HttpProblem(415, "media_type_unsupported", "The body must be JSON.")
        return await model_of(request, model)

    return Depends(read)


def described(model: type[BaseModel]) -> dict[str, Any]:
    """Return the `openapi_extra` for a route with a JSON body of type `model`."""
    schema = {"$ref": f"#/components/schemas/{model.__name__}"}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


async def model_of(request: Request, model: type[BaseModel]) -> Any:
    """Parse a JSON body as `model`.

    Raises:
        HttpProblem: the client disconnected.
        RequestValidationError: the body is not JSON, or does not match the model.
    """
    try:
        body = await request.body()
    except ClientDisconnect as error:
        raise HttpProblem(400, "disconnected", "The client disconnected.") from error
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_input=False)
        raise RequestValidationError(
            [{**fault, "loc": ("body", *fault["loc"])} for fault in faults]
        ) from error
