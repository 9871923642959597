"""A check of query parameters: routes refuse unknown ones."""

from typing import Any

from fastapi import Depends, Request
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError


async def only_known(request: Request) -> None:
    """Refuse a request with a query parameter that its route does not have.

    Raises:
        RequestValidationError: with the name of each unknown parameter.
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
"""The dependency of routes that need no key; `allowed` includes it for all others."""


def _names(dependant: Dependant) -> set[str]:
    """Return the names of the query parameters of a route and of its dependencies."""
    own = {field.alias for field in dependant.query_params}
    return own.union(*map(_names, dependant.dependencies))
