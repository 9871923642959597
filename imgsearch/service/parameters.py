"""Rejection of unknown query parameters."""

from typing import Any

from fastapi import Depends, Request
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError


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
