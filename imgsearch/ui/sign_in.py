"""A sign-in form that stores the API key in a cookie that scripts cannot read."""

import html
from typing import Final
from urllib.parse import parse_qs, quote, urlencode

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from imgsearch.errors import AccessDenied, CatalogError
from imgsearch.ui.visitor import Check

_COOKIE: Final = "imgsearch_key"
_SECURE_COOKIE: Final = f"__Host-{_COOKIE}"  # other hosts and pages without TLS cannot set it
UNCHECKED: Final = "keys cannot be checked at the moment"
_MOST: Final = 4096  # bytes of the form
_NEXT: Final = "next"
_QUERY: Final = "%/?:@!$&'()*+,;=~"  # characters that need no escape in a query string (RFC 3986)

_PAGE: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>imgsearch: sign in</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<style>
body {{ font: 1rem/1.5 system-ui, sans-serif; max-width: 24rem; margin: 15vh auto; padding: 1rem }}
label, input, button {{ display: block; width: 100%; box-sizing: border-box }}
input, button {{ font: inherit; padding: .6rem; margin: .4rem 0 1rem }}
:focus-visible {{ outline: 3px solid #2f6fdf; outline-offset: 2px }}
</style></head><body><main><h1>imgsearch</h1><p role="alert">{message}</p>
<form method="post" action="{action}"><label for="key">API key</label>
<input id="key" name="key" type="password" autocomplete="current-password" required autofocus>
<button>Sign in</button></form></main></body></html>"""


async def sign_in(request: Request, check: Check) -> Response:
    """Return the form, or for a submitted form with a valid key a redirect that sets the cookie.

    The redirect leads to the page, with the query string that `to_form` kept.
    """
    if request.url.path.endswith("/sign-out"):
        signed_out = Response(status_code=303, headers={"location": "sign-in"})
        signed_out.delete_cookie(_cookie(request), secure=_secure(request))
        return signed_out
    if request.method != "POST":
        return _form(request)
    key = await _key(request)
    if key is None:
        return _form(request, "This is not a valid key.", 413)
    try:
        await run_in_threadpool(check, key, "read")
    except AccessDenied as error:
        return _form(request, str(error), 403)
    except CatalogError:
        return _form(request, UNCHECKED, 503)
    signed_in = Response(status_code=303, headers={"location": f"./{_query(request)}"})
    signed_in.set_cookie(
        _cookie(request), key, httponly=True, samesite="strict", secure=_secure(request)
    )
    return signed_in


def key_of(request: Request) -> str:
    """Return the key in the sign-in cookie, or "" if the browser has not signed in."""
    return request.cookies.get(_cookie(request), "")


def to_form(request: Request) -> Response:
    """Return a redirect to the form, which keeps the page's query string for after sign-in."""
    query = request.url.query
    location = f"sign-in?{urlencode({_NEXT: query})}" if query else "sign-in"
    return Response(status_code=303, headers={"location": location})


def _secure(request: Request) -> bool:
    return request.url.scheme == "https"


def _cookie(request: Request) -> str:
    return _SECURE_COOKIE if _secure(request) else _COOKIE


def _form(request: Request, message: str = "", status: int = 200) -> HTMLResponse:
    query = _query(request).removeprefix("?")
    action = f"sign-in?{urlencode({_NEXT: query})}" if query else "sign-in"
    page = _PAGE.format(action=html.escape(action), message=html.escape(message))
    return HTMLResponse(page, status)


async def _key(request: Request) -> str | None:
    """Return the submitted key, or "" if it is missing. Returns None if the form is too large."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > _MOST:
            return None
    return parse_qs(body.decode("ascii", "replace")).get("key", [""])[0].strip()


def _query(request: Request) -> str:
    """Return the query string for the redirect after sign-in, with its "?", or "" if it is empty.

    Path and host are dropped, so that the redirect cannot lead to another site.
    """
    query = request.query_params.get(_NEXT, "")
    return f"?{quote(query, safe=_QUERY)}" if query else ""
