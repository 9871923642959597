"""Images on their way into an archive: bytes that were sent, files that stay where they are."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from os.path import commonpath
from pathlib import Path
from typing import Final

from imgsearch.errors import SourceError
from imgsearch.images import sources
from imgsearch.types import Value

OUTSIDE: Final = "the folder is not inside one that this archive may add from"


@dataclass(frozen=True, slots=True)
class Incoming:
    """One image to add. Its bytes are `data`, or come from `reader` or the file at `place`.

    `name` is the user's name for it, and never used as a path. `place` is its origin: the absolute
    path of a file, a URL, or "" for an upload. `id` is the id of its row; without one it is derived
    from content, source and place. A `label` of None states nothing, so that a stored image keeps
    its label; "" removes the label.
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
    except (OSError, RuntimeError, ValueError) as error:  # ValueError: the path has a NUL
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
