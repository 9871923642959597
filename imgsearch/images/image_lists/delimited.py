"""Reads csv files as spreadsheets and programs write them.

A file is UTF-8, UTF-16 with or without a byte order mark, or UTF-32 with one. Bytes that are not
UTF-8 become surrogate escapes, which `cells.text` decodes. The delimiter is a comma, a semicolon, a
tab or ``|``, or the one that a first line such as ``sep=;`` states. A file with a single column has
none.
"""

import csv
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path
from typing import Final, TextIO, TypeAlias, TypeVar

from imgsearch.errors import SourceError
from imgsearch.images.image_lists.cells import names_image, text
from imgsearch.images.image_lists.column_names import ListColumns, clean, has_path

Note: TypeAlias = Callable[[str], None]
T = TypeVar("T")

_ZIP: Final = b"PK\x03\x04"
_HEAD: Final = 1_024  # bytes that the encoding is guessed from: a header line and more
_HEADER: Final = 65_536  # characters that the layout is guessed from
# longer marks first, because the UTF-32 mark begins with the UTF-16 mark
_MARKS: Final = (
    (b"\xff\xfe\0\0", "utf-32"),
    (b"\0\0\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
_DELIMITERS: Final = (",", ";", "\t", "|")
_TABS: Final = frozenset({".tsv", ".tab"})
_SINGLE: Final = "\x1f"  # a delimiter that no list has
_SEP: Final = re.compile(r'"?sep=(\\t|[^\r\n"])"?[ \t,;|]*(?:\r\n|\r|\n|\Z)', re.IGNORECASE)
# R's write.table separates quoted names with blanks
_BLANKS: Final = re.compile(r'"[^"\r\n]*"(?: "[^"\r\n]*")+[ \t]*(?:\r|\n|\Z)')


@dataclass(frozen=True, slots=True)
class Layout:
    """How a csv is written.

    `names` are the columns. `declared` says that the first line states the delimiter. Without a
    `header` the first line is a row. `shift` is 1 if rows begin with a name that has no column.
    """

    encoding: str
    delimiter: str
    names: Sequence[str]
    declared: bool = False
    blanks: bool = False
    header: bool = True
    first: Sequence[str] = ()

    def shift(self, path: int) -> int:
        """Return 1 if rows begin with a cell that the header does not name, as R writes them."""
        first = self.first
        if len(first) != len(self.names) + 1 or not first[-1].strip():
            return 0
        return int(names_image(first[path + 1]) and not names_image(first[path]))


def layout_of(file: Path, wanted: ListColumns) -> Layout:
    """Find out how a csv is written.

    Raises:
        OSError: the file cannot be read.
        SourceError: the file is not text; the message does not name the file.
    """
    encoding = encoding_of(file)
    with _open(file, encoding) as opened:
        head = _guarded(encoding, lambda: opened.read(_HEADER))
    if len(head) == _HEADER and not any(end in head for end in "\r\n"):
        raise SourceError(
            f"its first line has more than {_HEADER:,} letters, so it is not a header"
        )
    stated = _SEP.match(head)
    if stated:
        head = head[stated.end() :]
        delimiters: Sequence[str] = ("\t" if stated[1] == r"\t" else stated[1],)
    else:
        tab_first = file.suffix.lower() in _TABS
        delimiters = sorted(_DELIMITERS, key=lambda one: one != "\t") if tab_first else _DELIMITERS
        if _BLANKS.match(head.lstrip()):
            delimiters = (*delimiters, " ")
    candidates = [_layout(head, encoding, one, declared=bool(stated)) for one in delimiters]
    if not stated and all(len(layout.names) <= 1 for layout in candidates):
        candidates = [_layout(head, encoding, _SINGLE, declared=False)]
    return max(
        candidates,
        key=lambda layout: (has_path(layout.names, wanted), sum(map(bool, layout.names))),
    )


def lines(
    file: Path, layout: Layout, note: Note, *, strict: bool
) -> Iterator[tuple[int, list[str]]]:
    """Yield (line number, cells) of each row that is not blank, without the header.

    `note` is called with a sentence if the encoding is not UTF-8.

    Raises:
        OSError, SourceError: as for `layout_of`; raised during iteration.
    """
    if layout.encoding != "utf-8-sig":
        note(f"{file.name} was read as {layout.encoding.upper()}")
    skipped = 0
    with _open(file, layout.encoding) as opened:
        if layout.declared:
            opened.readline()
            skipped = 1
        records = _records(opened, layout, strict=strict)
        if layout.header:
            _guarded(layout.encoding, lambda: next(records, None))
        while (record := _guarded(layout.encoding, lambda: next(records, None))) is not None:
            number, cells = record
            if not all(cell.isascii() or _is_text(cell) for cell in cells):
                note(f"{file.name} is not UTF-8 throughout: other bytes were read as cp1252")
            yield number + skipped, cells


def plain_lines(file: Path, note: Note) -> Iterator[tuple[int, str]]:
    """Yield (line number, line) of each line that is not blank, without its end.

    Raises: as for `lines`.
    """
    encoding = encoding_of(file)
    if encoding != "utf-8-sig":
        note(f"{file.name} was read as {encoding.upper()}")
    with _open(file, encoding, newline=None) as opened:
        number = 0
        while line := _guarded(encoding, opened.readline):
            number += 1
            if line.strip():
                yield number, line.removesuffix("\n")


def encoding_of(file: Path) -> str:
    """Detect the encoding of a text file from its first bytes.

    Raises:
        OSError: the file cannot be read.
        SourceError: the bytes are not text.
    """
    with file.open("rb") as opened:
        head = opened.read(_HEAD)
    for mark, name in _MARKS:
        if head.startswith(mark):
            return name
    if head.startswith(_ZIP):
        raise SourceError("a spreadsheet or other zip file, not a csv. Save it as csv")
    if b"\0" not in head:
        return "utf-8-sig"
    even, odd = head[::2].count(0), head[1::2].count(0)
    # in UTF-16 nearly every letter of a header has one zero byte, always at the same position
    if max(even, odd) * 4 < len(head) or min(even, odd) * 4 > max(even, odd):
        raise SourceError("not text: it has NUL bytes. Save the list as csv in UTF-8")
    return "utf-16-le" if odd > even else "utf-16-be"


def read_text(file: Path) -> TextIO:
    """Open a text file in its own encoding; bytes that are not UTF-8 become surrogate escapes.

    Raises: as for `encoding_of`.
    """
    return _open(file, encoding_of(file), newline=None)


def _open(file: Path, encoding: str, *, newline: str | None = "") -> TextIO:
    errors = "surrogateescape" if encoding == "utf-8-sig" else "strict"
    return file.open(encoding=encoding, errors=errors, newline=newline)


def _layout(head: str, encoding: str, delimiter: str, *, declared: bool) -> Layout:
    """Return the layout of a csv with this delimiter, given its beginning."""
    plain = Layout(encoding, delimiter, (), declared)
    try:
        header, first = _beginning(head, plain)
        if any(cell[:1] == " " for cell in header[1:]):  # "path", "label"
            plain = replace(plain, blanks=True)
            header, first = _beginning(head, plain)
    except csv.Error:  # the reader of the rows raises it again
        return plain
    names = [clean(text(name)) for name in header]
    while names and not names[-1]:  # trailing delimiters
        names.pop()
    headless = len(names) == 1 and names_image(names[0])
    return replace(plain, names=names, header=not headless, first=first)


def _beginning(head: str, layout: Layout) -> tuple[list[str], list[str]]:
    """Return the cells of the first two rows that are not blank."""
    records = _records(StringIO(head, newline=""), layout, strict=False)
    return next(records, (0, []))[1], next(records, (0, []))[1]


def _records(opened: TextIO, layout: Layout, *, strict: bool) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(
        opened, delimiter=layout.delimiter, strict=strict, skipinitialspace=layout.blanks
    )
    for cells in reader:
        if any(cell.strip() for cell in cells):
            yield reader.line_num, cells


def _guarded(encoding: str, read: Callable[[], T]) -> T:
    """Return what `read` returns; translate errors of csv and of the encoding."""
    try:
        return read()
    except csv.Error as error:
        raise SourceError(str(error)) from error
    except UnicodeError as error:
        raise SourceError(f"not valid {encoding.upper()}: {error}") from error


def _is_text(cell: str) -> bool:
    return not any("\udc80" <= letter <= "\udcff" for letter in cell)
