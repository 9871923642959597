"""Sources in buckets: the images below a prefix, or that a pattern matches."""

import fnmatch
import logging
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from imgsearch.errors import SourceError
from imgsearch.images.buckets import Bucket
from imgsearch.images.exclusions import Exclusions
from imgsearch.images.files import label_text, printable
from imgsearch.images.references import Reference
from imgsearch.images.splits import NAMES
from imgsearch.images.suffixes import PHOTOS

_MAGIC = re.compile(r"[*\[]")
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class BucketWalk:
    """A walk over the objects of a bucket, as `sources.references` walks folders."""

    bucket: Bucket
    exclude: Sequence[str]
    ignored: Callable[[str], None]

    def images(self, root: str) -> Iterator[Reference]:
        """Yield the objects below a prefix with the suffix of an image.

        They are in the order of names, objects before folders. The objects of one folder are listed
        at a time. A folder that cannot be listed is ignored, with a warning in the log, unless it
        is the first one.

        Raises:
            SourceError: the prefix cannot be listed.
        """
        root = root.strip("/")
        excluded = Exclusions.of(root, self.exclude)
        stack = [(root, False)]
        while stack:
            folder, splits = stack.pop()
            try:
                entries = self.bucket.entries(folder)
            except SourceError as error:
                if folder == root:
                    raise
                _log.warning("skipped: %s", error)
                self.ignored(self._title(folder))
                continue
            folders = [entry.key for entry in entries if entry.is_folder]
            split = _name(folder).casefold() in NAMES and (splits or bool(folders))
            label = None if folder == root or split else label_text(_name(folder))
            only_splits = all(_name(key).casefold() in NAMES for key in folders)
            for entry in entries:
                name = _name(entry.key)
                if name.startswith(".") or excluded.cover(entry.key, folder=entry.is_folder):
                    self.ignored(self._title(entry.key))
                    folders = [key for key in folders if key != entry.key]
                elif entry.is_folder:
                    continue
                elif is_photo(name):
                    yield Reference(self._title(entry.key), label)
                else:
                    self.ignored(self._title(entry.key))
            stack.extend((key, only_splits) for key in reversed(folders))

    def matches(self, pattern: str) -> Iterator[str]:
        """Yield the keys that a pattern matches, in the order of their names.

        ``*`` and ``[…]`` match within the part of a name between slashes.

        Raises:
            SourceError: a folder cannot be listed.
        """
        parts = pattern.strip("/").split("/")
        start = next(place for place, part in enumerate(parts) if _MAGIC.search(part))
        yield from self._below("/".join(parts[:start]), parts[start:])

    def _below(self, folder: str, parts: Sequence[str]) -> Iterator[str]:
        match = re.compile(fnmatch.translate(parts[0])).match
        for entry in self.bucket.entries(folder):
            name = _name(entry.key)
            if not match(name) or (name.startswith(".") and not parts[0].startswith(".")):
                continue
            if len(parts) > 1 and entry.is_folder:
                yield from self._below(entry.key, parts[1:])
            elif len(parts) == 1 and not entry.is_folder:
                yield entry.key

    def _title(self, key: str) -> str:
        return printable(str(self.bucket.url.at(key)))


def is_pattern(key: str) -> bool:
    """Return whether a key has a character of patterns: ``*`` or ``[``."""
    return bool(_MAGIC.search(key))


def is_photo(name: str) -> bool:
    """Return whether a name has the suffix of a photo."""
    return f".{name.rpartition('.')[2].lower()}" in PHOTOS


def label_of(key: str) -> str | None:
    """Return the label of an object: the name of its folder, unless that names a split."""
    folder = _name(key.rpartition("/")[0])
    return label_text(folder) if folder and folder.casefold() not in NAMES else None


def _name(key: str) -> str:
    return key.rpartition("/")[2]
