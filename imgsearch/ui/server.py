"""Serves the page, in a service or standalone on loopback."""

from typing import Any, Final, cast

import gradio as gr
from starlette.middleware import Middleware

from imgsearch.errors import ConfigError
from imgsearch.logs import RequestLog
from imgsearch.ui import MAX_FILE
from imgsearch.ui.guard import Guard
from imgsearch.ui.theme import style
from imgsearch.ui.visitor import Check

_LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")


def mount(
    app: Any,
    blocks: Any,
    *,
    check: Check | None,
    hosts: tuple[str, ...],
) -> Any:
    """Mount `blocks` at / of `app`; see `imgsearch.ui.mount`."""
    return gr.mount_gradio_app(
        app, blocks, path="/", **_options(blocks, check, hosts, mounted=True)
    )


def launch(blocks: Any, *, port: int) -> str:
    """Serve `blocks` without a service; see `imgsearch.ui.launch`."""
    try:
        _, url, _ = blocks.launch(
            server_name="127.0.0.1",
            server_port=port,
            share=False,
            quiet=True,
            prevent_thread_lock=True,
            **_options(blocks, None, _LOOPBACK, mounted=False),
        )
    except OSError as error:
        raise ConfigError(f"port {port} is in use. Choose another with --port.") from error
    return str(url)


def _options(
    blocks: Any,
    check: Check | None,
    hosts: tuple[str, ...],
    *,
    mounted: bool,
) -> dict[str, Any]:
    guard = Middleware(Guard, check=check, hosts=hosts, archive=blocks.archive)
    logged = [] if mounted else [Middleware(cast(Any, RequestLog))]  # the service logs its own
    return {
        "app_kwargs": {
            "middleware": [*logged, guard],
            "docs_url": None,
            "redoc_url": None,
            "openapi_url": None,
        },
        "allowed_paths": [],
        "footer_links": [],
        "run_history": False,
        "show_error": False,
        "ssr_mode": False,
        "mcp_server": False,
        "pwa": False,
        "enable_monitoring": False,
        "max_file_size": MAX_FILE,
        **style(),
    }
