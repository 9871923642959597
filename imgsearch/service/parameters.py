"""Query parameters: unknown ones are rejected, filters are parsed."""

from typing import Any, Final

from fastapi import Depends, Request
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError

from imgsearch.errors import FieldInvalid
from imgsearch.filters import Filter, to_filter
from imgsearch.service.problems import HttpProblem

MAX_CURSOR: Final = 4_000
"""Characters of a cursor; it holds a name of at most 512 letters, in base64."""


async def only_known(request: Request) -> None:
    """Reject a request with a query parameter that its route does not declare.

    Raises:
        RequestValidationError: a parameter is unknown; the error lists all unknown names.
    """
    if not request.query_params:
        return
    known = _names(request.scope["route"].dependant)
    unknown = [name for name in request.query_params if name not in known]
    if unknown:
        raise RequestValidationError(
            [{"loc": ("query", name), "msg": "Extra inputs are not permitted"} for name in unknown]
        )


ONLY_KNOWN: Any = Depends(only_known)
"""The dependency for routes that need no key. For other routes, `allowed` includes this check."""


def _names(dependant: Dependant) -> set[str]:
    """Return the query parameter names of a route and its dependencies."""
    own = {field.alias for field in dependant.query_params}
    return own.union(*map(_names, dependant.dependencies))


def filter_of(where: str | None) -> Filter | None:
    """Parse a filter.

    Raises:
        HttpProblem: it is invalid.
    """
    try:
        return None if where is None else to_filter(where)
    except FieldInvalid as error:  # the message contains only values of the request
        raise HttpProblem(422, "filter_invalid", str(error)) from error
