"""Streams list paths, or are list files."""

from io import BytesIO

import pytest

from imgsearch.errors import SourceError
from imgsearch.images.image_lists import ListColumns
from imgsearch.images.references import Reference
from imgsearch.images.streams import listed_in


def test_lines_are_paths():
    stream = BytesIO(b"\xef\xbb\xbfa, b.jpg\r\n\nc\xff.jpg\n~/d.jpg")
    assert list(listed_in(stream)) == ["a, b.jpg", "c\udcff.jpg", "~/d.jpg"]
    assert list(listed_in(BytesIO(b""))) == []


def test_nul_ends_paths_with_newlines():
    stream = BytesIO(b"a\nb.jpg\0\xff.jpg\0path,label\0" + b"x" * 2_000_000 + b"\0")
    assert list(listed_in(stream, null=True)) == [
        "a\nb.jpg", "\udcff.jpg", "path,label", "x" * 2_000_000
    ]  # fmt: skip


@pytest.mark.parametrize(
    "content", ["Datei;label\na.jpg;Käfer\n", '{"image": "a.jpg", "label": "Käfer"}\n']
)
def test_list_files_are_read(content):
    assert list(listed_in(BytesIO(content.encode()))) == [Reference("a.jpg", "Käfer")]


def test_columns_can_be_named():
    stream, columns = BytesIO(b"Ort,path\na.jpg,b.jpg\n"), ListColumns("Ort")
    assert list(listed_in(stream, columns=columns)) == [Reference("a.jpg")]


def test_invalid_list_is_rejected():
    with pytest.raises(SourceError, match="the list on standard input cannot be read: line 1"):
        list(listed_in(BytesIO(b'{"path": \n')))
