"""Images on their way into an archive: bytes that were sent, files that stay where they are."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from os.path import commonpath
from pathlib import Path
from typing import Final

from imgsearch import sources
from imgsearch.errors import SourceError
from imgsearch.types import Value

OUTSIDE: Final = "the folder is not inside one that this archive may add from"


@dataclass(frozen=True, slots=True)
class Incoming:
    """One image to be added: its bytes, or what gets them: a file at `place`, or `reader`.

    `name` is what people called it, and never a path of ours. `place` is where it came from: a
    file's absolute path, a URL, "" where it was sent. `id` is what its row is to be called;
    without one it is derived from content, source and place. `label` is None where nothing is
    stated: an image that is there keeps its label; "" removes it.
    """

    name: str
    data: bytes | None = field(default=None, repr=False)
    source: str = "upload"
    place: str = ""
    label: str | None = None
    fields: Mapping[str, Value] = field(default_factory=dict)
    id: str | None = None
    reader: Callable[[], bytes] | None = field(default=None, repr=False)

    def read(self) -> bytes:
        """Return its bytes.

        Raises:
            SourceError: they cannot be had.
        """
        if self.data is not None:
            return self.data
        return self.reader() if self.reader is not None else sources.read(self.place)


def inside(folder: Path, roots: Sequence[Path]) -> Path:
    """Return `folder` without symbolic links and "..", which must lie inside one of `roots`.

    Raises:
        SourceError: it does not, or is not there; the text is the same for both.
    """
    try:
        real = folder.expanduser().resolve(strict=True)
    except (OSError, RuntimeError, ValueError) as error:  # the last one of a NUL
        raise SourceError(OUTSIDE) from error
    if not real.is_dir() or not any(_within(real, root) for root in roots):
        raise SourceError(OUTSIDE)
    return real


def files(
    folder: Path, roots: Sequence[Path], on_ignored: Callable[[str], None] | None = None
) -> Iterator[Incoming]:
    """Yield the images of a folder inside `roots`, sorted, labelled by their own folder's name.

    What a symbolic link would lead to outside of `roots` is passed over.

    Raises:
        SourceError: the folder is not inside `roots`.
    """
    real = inside(folder, roots)
    for reference in sources.references(str(real), on_ignored=on_ignored):
        file = Path(reference.path)
        if any(_within(file.resolve(), root) for root in roots):
            place = str(file.absolute())
            yield Incoming(file.name, source="folder", place=place, label=reference.label)


def _within(path: Path, root: Path) -> bool:
    try:
        top = root.expanduser().resolve(strict=True)
        return commonpath([path, top]) == str(top)
    except (OSError, RuntimeError, ValueError):
        return False
