"""Print the rooms of the package that a search enters: ``python -m tools.rooms``.

A room is a module or package directly below ``imgsearch/``. It is entered if one of its functions
is called; calls during imports do not count. Two searches are traced: ``imgsearch search`` with an
image in a new library, and a second ``Library.search``.
"""

import contextlib
import inspect
import io
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import imgsearch
from imgsearch.datasets import gallery

_PACKAGE = str(Path(imgsearch.__file__).parent)


class Rooms:
    """The entered rooms with their called functions, in the order of the first call."""

    def __init__(self) -> None:
        self.functions: dict[str, dict[str, None]] = {}

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Record the calls in this thread, and in threads that start during the block."""
        threading.setprofile(self._profile)
        sys.setprofile(self._profile)
        try:
            yield
        finally:
            sys.setprofile(None)
            threading.setprofile(None)

    def _profile(self, frame: FrameType, event: str, _argument: Any) -> None:
        file = frame.f_code.co_filename
        if event != "call" or not file.startswith(_PACKAGE) or _is_import(frame):
            return
        place = Path(file).relative_to(_PACKAGE)
        function = f"{'.'.join(place.with_suffix('').parts)}.{frame.f_code.co_qualname}"
        self.functions.setdefault(place.parts[0].removesuffix(".py"), {}).setdefault(function)


def _is_import(frame: FrameType | None) -> bool:
    """Return whether a frame is a module or class body, or was called during an import."""
    while frame is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        if not frame.f_code.co_flags & inspect.CO_OPTIMIZED:
            return True
        frame = frame.f_back
    return frame is not None and frame.f_code.co_filename.startswith("<frozen importlib")


def trace(call: Callable[[], Any]) -> Rooms:
    """Return the rooms that `call` enters."""
    rooms = Rooms()
    with rooms.watching():
        call()
    return rooms


def main() -> None:
    """Print both traces; with ``-v``, also the functions."""
    query = str(next((gallery.FOLDER / "test").rglob("*.jpg")))
    with tempfile.TemporaryDirectory() as folder:
        url = f"{folder}/photos.db"
        with imgsearch.open(url) as library:
            library.add(gallery.FOLDER / "test")
        from imgsearch.cli import cli

        words = ["search", query, "--db", url, "-k", "3"]
        with contextlib.redirect_stdout(io.StringIO()):
            command = trace(lambda: cli.main(words, standalone_mode=False))
        with imgsearch.open(url) as library:
            library.search(query)
            search = trace(lambda: library.search(query))
    for title, rooms in (("imgsearch search", command), ("a warm Library.search", search)):
        print(f"{title}: {len(rooms.functions)} rooms: {', '.join(rooms.functions)}")  # noqa: T201
        if "-v" in sys.argv:
            for functions in rooms.functions.values():
                print("  " + "\n  ".join(functions))  # noqa: T201


if __name__ == "__main__":
    main()
