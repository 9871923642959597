"""JSON bodies, read by a dependency that runs after the API key check, and forms.

FastAPI would read and parse a declared body before any dependency, even without a valid key.
"""

from collections.abc import Mapping
from typing import Any, Final

from fastapi import Depends, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect

from imgsearch.service.problems import HttpProblem

JSON: Final = "application/json"
FORM: Final = "multipart/form-data"

BINARY: Final = {"type": "string", "format": "binary"}
"""The schema of an uploaded file."""


def json_body(model: type[BaseModel]) -> Any:
    """Return a dependency that parses a JSON body as `model`; `described` documents the body."""

    async def read(request: Request) -> Any:
        kind = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if kind != JSON:
            raise HttpProblem(415, "media_type_unsupported", "The body must be JSON.")
        return await model_of(request, model)

    return Depends(read)


def described(model: type[BaseModel]) -> dict[str, Any]:
    """Return the `openapi_extra` for a route with a JSON body of type `model`."""
    schema = {"$ref": f"#/components/schemas/{model.__name__}"}
    return {"requestBody": {"required": True, "content": {JSON: {"schema": schema}}}}


def described_form(
    properties: Mapping[str, Any], *, json: type[BaseModel] | None = None
) -> dict[str, Any]:
    """Return the `openapi_extra` for a route with a form that has a part `file`.

    `properties` are the schemas of its parts. `json` is the type of a JSON body that the route
    accepts instead of the form; see `is_json`.
    """
    schema = {"type": "object", "required": ["file"], "properties": dict(properties)}
    content: dict[str, Any] = {FORM: {"schema": schema}}
    if json is not None:
        content = {**described(json)["requestBody"]["content"], **content}
    return {"requestBody": {"required": True, "content": content}}


def is_json(request: Request) -> bool:
    """Return whether the body is JSON; False if it is a form.

    Raises:
        HttpProblem: the body is of another type.
    """
    kind = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if kind not in (JSON, FORM):
        raise HttpProblem(415, "media_type_unsupported", f"The body must be JSON or {FORM}.")
    return kind == JSON


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
