"""A Gradio web page to search, extend and browse an archive. It loads nothing from other hosts.

    blocks = imgsearch.ui.build(archive, jobs, collection="images", can_write=True)
    imgsearch.ui.mount(app, blocks)  # in a service, at /
    imgsearch.ui.launch(blocks, port=7860)  # or standalone, on loopback

Needs the extra ``ui``.
"""

from collections.abc import Collection
from typing import Any, Final

from imgsearch.archive import Archive, Fetch, Jobs
from imgsearch.errors import MissingExtra
from imgsearch.settings import hush_gradio
from imgsearch.ui.uploads import uploads
from imgsearch.ui.visitor import Check

MAX_FILE: Final = 64 * 2**20  # bytes per upload; a 50-megapixel photo has at most 30 MB


def build(
    archive: Archive,
    jobs: Jobs | None,
    *,
    collection: str = "images",
    can_write: bool = False,
    check: Check | None = None,
    fetch: Fetch | None = None,
    allowed: Collection[str] = (),
) -> Any:
    """Return the page for `archive` as a `gradio.Blocks`. It first shows `collection`.

    Images can be added and deleted only with `can_write`. `jobs` run additions of folders inside
    the archive's roots; without `jobs`, folders cannot be added. `check` is called with the
    visitor's key for every search, addition and deletion, and returns the key: a visitor with a key
    of some collections sees only these. Pass it to `mount` as well. `fetch` downloads a query image
    by URL; without it, URLs are refused. `allowed` are "ocr" and "tags", if visitors may have the
    text in new images read, and tags chosen.

    Raises:
        MissingExtra: Gradio is not installed.
    """
    hush_gradio(uploads())
    try:
        from imgsearch.ui.page import Page
    except ModuleNotFoundError as error:
        raise MissingExtra(f"the page needs {error.name}", extra="ui", name=error.name) from error
    return Page(
        archive,
        jobs,
        collection=collection,
        can_write=can_write,
        check=check,
        fetch=fetch,
        allowed=allowed,
    ).blocks


def mount(app: Any, blocks: Any, *, check: Check | None = None, hosts: tuple[str, ...] = ()) -> Any:
    """Mount the page at / of a FastAPI application, and return the application.

    Call this after all routes are added, because the page handles all other paths. With `check`,
    visitors have to sign in with an API key. `hosts` are the accepted host names, empty for any.
    """
    from imgsearch.ui.server import mount

    return mount(app, blocks, check=check, hosts=hosts)


def launch(blocks: Any, *, port: int = 7860) -> str:
    """Serve the page on loopback in background threads, without a service; return its URL.

    ``blocks.close()`` stops the server.

    Raises:
        ConfigError: the port is in use.
    """
    from imgsearch.ui.server import launch

    return launch(blocks, port=port)
