"""The page: search, add and browse an archive in a browser, by Gradio and without the network.

    blocks = imgsearch.ui.build(archive, jobs, collection="images", can_write=True)
    imgsearch.ui.mount(app, blocks)  # into a service, at /
    imgsearch.ui.launch(blocks, port=7860)  # or alone, on loopback

Needs the extra ``ui``.
"""

from collections.abc import Callable
from typing import Any, Final

from imgsearch.archive import Archive, Jobs
from imgsearch.errors import MissingExtra
from imgsearch.settings import hush_gradio
from imgsearch.ui.uploads import uploads

Check = Callable[[str, str], object]
"""Takes an API key and a scope, raises `AccessDenied` unless the key has it."""

MAX_FILE: Final = 64 * 2**20  # bytes of one upload; a photograph of 50 megapixels is 30 MB at most


def build(
    archive: Archive,
    jobs: Jobs | None,
    *,
    collection: str = "images",
    can_write: bool = False,
    check: Check | None = None,
) -> Any:
    """Return the page for `archive`, a `gradio.Blocks`, beginning with `collection`.

    Without `can_write` it has no means to add or delete. `jobs` add from folders, which needs the
    archive to have roots; None leaves that out. With `check` every search, addition and deletion
    asks it for the key that the browser signed in with; give it to `mount` and `launch` as well.

    Raises:
        MissingExtra: Gradio is not installed.
    """
    hush_gradio(uploads())
    try:
        from imgsearch.ui.page import Page
    except ModuleNotFoundError as error:
        raise MissingExtra(f"the page needs {error.name}", extra="ui", name=error.name) from error
    return Page(archive, jobs, collection=collection, can_write=can_write, check=check).blocks


def mount(app: Any, blocks: Any, *, check: Check | None = None, hosts: tuple[str, ...] = ()) -> Any:
    """Mount the page at / of a FastAPI application, after its own routes; return the application.

    Only what the page needs is answered, the rest is left to 404: call it last. With `check` a
    browser has to sign in with an API key first. `hosts` are the names that the service may be
    called by; none means any.
    """
    from imgsearch.ui.server import mount

    return mount(app, blocks, check=check, hosts=hosts)


def launch(blocks: Any, *, port: int = 7860) -> str:
    """Serve the page alone, on loopback, in threads of its own; return its URL.

    ``blocks.close()`` ends it.

    Raises:
        ConfigError: the port is taken.
    """
    from imgsearch.ui.server import launch

    return launch(blocks, port=port)
