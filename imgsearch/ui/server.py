"""The page behind a server: mounted into a service, or alone on loopback."""

from collections.abc import Callable
from typing import Any, Final

import gradio as gr
from starlette.middleware import Middleware

from imgsearch.errors import ConfigError
from imgsearch.ui import MAX_FILE
from imgsearch.ui.guard import Guard
from imgsearch.ui.theme import looks

_LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")


def mount(
    app: Any,
    blocks: Any,
    *,
    check: Callable[[str, str], object] | None,
    hosts: tuple[str, ...],
) -> Any:
    """Mount `blocks` at / of `app`, as `imgsearch.ui.mount` tells."""
    return gr.mount_gradio_app(app, blocks, path="/", **_told(check, hosts))


def launch(blocks: Any, *, port: int) -> str:
    """Serve `blocks` alone, as `imgsearch.ui.launch` tells."""
    try:
        _, url, _ = blocks.launch(
            server_name="127.0.0.1",
            server_port=port,
            share=False,
            quiet=True,
            prevent_thread_lock=True,
            **_told(None, _LOOPBACK),
        )
    except OSError as error:
        raise ConfigError(f"port {port} is taken; --port names another") from error
    return str(url)


def _told(check: Callable[[str, str], object] | None, hosts: tuple[str, ...]) -> dict[str, Any]:
    guard = Middleware(Guard, check=check, hosts=hosts)
    return {
        "app_kwargs": {
            "middleware": [guard],
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
        **looks(),
    }
