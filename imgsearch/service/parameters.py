"""Query parameters: a route refuses those that it does not have, as bodies refuse fields."""

from typing import Any

from fastapi import Depends, Request
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError


async def only_known(request: Request) -> None:
    """Refuse a request whose query has a parameter that its route does not have.

    Raises:
        RequestValidationError: each unknown parameter, by its name.
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
"""A dependency of routes that no key is asked for; the others have it by `allowed`."""


def _names(dependant: Dependant) -> set[str]:
    """Return the query parameters of a route and of all that it depends on."""
    own = {field.alias for field in dependant.query_params}
    return own.union(*map(_names, dependant.dependencies))
