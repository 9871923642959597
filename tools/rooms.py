"""Print the rooms of the package that a search enters: ``python -m tools.rooms``.

A room is a module or package directly below ``imgsearch/``. It is entered if one of its functions
is called, in any thread; calls during imports do not count. The folder of operators is a room, too.
Traced are ``imgsearch add`` and ``imgsearch search`` with an image in a new library, and a second
``Library.search``.
"""

import argparse
import contextlib
import inspect
import io
import os
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, Final

_ROOT: Final = Path(__file__).resolve().parents[1]
_PACKAGE: Final = str(_ROOT / "imgsearch") + os.sep
_OPERATORS: Final = str(_ROOT / "operators") + os.sep


class Rooms:
    """The entered rooms with their called functions, in the order of the first call.

    Threads are watched from their start, because a pipeline's threads live longer than a search.
    """

    def __init__(self) -> None:
        self.functions: dict[str, dict[str, None]] = {}
        self._recording = False
        threading.setprofile(self._profile)

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Record the calls in this thread, and in threads that started since `Rooms()`."""
        self._recording = True
        sys.setprofile(self._profile)
        try:
            yield
        finally:
            sys.setprofile(None)
            self._recording = False

    def _profile(self, frame: FrameType, event: str, _argument: Any) -> None:
        file = frame.f_code.co_filename
        if event != "call" or not self._recording:
            return
        if file.startswith(_OPERATORS):
            place = Path("operators", Path(file).relative_to(_OPERATORS))
        elif file.startswith(_PACKAGE) and not _is_import(frame):
            place = Path(file).relative_to(_PACKAGE)
        else:
            return
        function = f"{'.'.join(place.with_suffix('').parts)}.{frame.f_code.co_qualname}"
        self.functions.setdefault(place.parts[0].removesuffix(".py"), {}).setdefault(function)


def _is_import(frame: FrameType | None) -> bool:
    """Return whether a frame is a module or class body, or was called during an import."""
    while frame is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        if not frame.f_code.co_flags & inspect.CO_OPTIMIZED:
            return True
        frame = frame.f_back
    return frame is not None and frame.f_code.co_filename.startswith("<frozen importlib")


def trace(rooms: Rooms, call: Callable[[], Any]) -> Rooms:
    """Return the rooms, with those that `call` enters."""
    with rooms.watching():
        call()
    return rooms


def main() -> None:
    """Print the traces; with ``-v``, also the functions."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.rooms",
        description="Print the modules and packages of imgsearch that adding and searching enter.",
    )
    parser.add_argument("-v", "--verbose", action="store_true", help="Print the functions, too.")
    verbose = parser.parse_args().verbose
    try:
        traces = _traces()
    except ModuleNotFoundError as error:
        parser.exit(
            1,
            f"error: {error}. Run this in the environment of the repository, after "
            "`pip install -e '.[dev]'`; see CONTRIBUTING.md.\n",
        )
    for title, rooms in traces.items():
        print(f"{title}: {len(rooms.functions)} rooms: {', '.join(rooms.functions)}")  # noqa: T201
        if verbose:
            for functions in rooms.functions.values():
                print("  " + "\n  ".join(functions))  # noqa: T201


def _traces() -> dict[str, Rooms]:
    """Return the traces by title.

    Raises:
        ModuleNotFoundError: a dependency of imgsearch is not installed, or the imported imgsearch
            is not the one of this repository.
    """
    import imgsearch
    from imgsearch.cli import cli
    from imgsearch.datasets import gallery

    if not imgsearch.__file__.startswith(_PACKAGE):
        raise ModuleNotFoundError(f"{imgsearch.__file__} is not the package of {_ROOT}")
    query = str(next((gallery.FOLDER / "test").rglob("*.jpg")))
    traces: dict[str, Rooms] = {}
    with tempfile.TemporaryDirectory() as folder:
        url = f"{folder}/photos.db"
        for words in (
            ["add", str(gallery.FOLDER / "test"), "--db", url],
            ["search", query, "--db", url, "-k", "3"],
        ):
            with contextlib.redirect_stdout(io.StringIO()):
                command = partial(cli.main, words, standalone_mode=False)
                traces[f"imgsearch {words[0]}"] = trace(Rooms(), command)
        rooms = Rooms()
        with imgsearch.open(url) as library:
            library.search(query)
            traces["a warm Library.search"] = trace(rooms, partial(library.search, query))
    return traces


if __name__ == "__main__":
    main()
