"""A form that takes an API key once and keeps it in a cookie that no script can read."""

import html
from collections.abc import Callable
from typing import Final
from urllib.parse import parse_qs

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from imgsearch.errors import AccessDenied

COOKIE: Final = "imgsearch_key"
_MOST: Final = 4096  # bytes of the form

_PAGE: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>imgsearch: sign in</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<style>
body {{ font: 1rem/1.5 system-ui, sans-serif; max-width: 24rem; margin: 15vh auto; padding: 1rem }}
label, input, button {{ display: block; width: 100%; box-sizing: border-box }}
input, button {{ font: inherit; padding: .6rem; margin: .4rem 0 1rem }}
:focus-visible {{ outline: 3px solid #2f6fdf; outline-offset: 2px }}
</style></head><body><main><h1>imgsearch</h1><p role="alert">{told}</p>
<form method="post" action="sign-in"><label for="key">API key</label>
<input id="key" name="key" type="password" autocomplete="current-password" required autofocus>
<button>Sign in</button></form></main></body></html>"""


async def sign_in(request: Request, check: Callable[[str, str], object]) -> Response:
    """Return the form, or what follows on it: a cookie where the key is known."""
    if request.url.path.endswith("/sign-out"):
        gone = Response(status_code=303, headers={"location": "sign-in"})
        gone.delete_cookie(COOKIE)
        return gone
    if request.method != "POST":
        return HTMLResponse(_PAGE.format(told=""))
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > _MOST:
            return HTMLResponse(_PAGE.format(told="That is no key."), 413)
    key = parse_qs(body.decode("ascii", "replace")).get("key", [""])[0].strip()
    try:
        await run_in_threadpool(check, key, "read")
    except AccessDenied as error:
        return HTMLResponse(_PAGE.format(told=html.escape(str(error))), 403)
    there = Response(status_code=303, headers={"location": "./"})
    secure = request.url.scheme == "https"
    there.set_cookie(COOKIE, key, httponly=True, samesite="strict", secure=secure)
    return there
