"""Parts of files that the header Range asks for; RFC 9110, section 14.1."""

import pytest

from imgsearch.wire.ranges import ByteRange, RangeUnsatisfiable, byte_range


@pytest.mark.parametrize(
    ("header", "part"),
    [
        ("bytes=0-0", (0, 1)),
        ("bytes=0-499", (0, 500)),
        ("bytes=500-999", (500, 1000)),
        (" bytes=500- ", (500, 1000)),
        ("bytes=990-5000", (990, 1000)),
        ("bytes=-500", (500, 1000)),
        ("bytes=-5000", (0, 1000)),
    ],
)
def test_range_is_a_part(header, part):
    assert byte_range(header, 1000) == ByteRange(*part, 1000)


@pytest.mark.parametrize(
    "header",
    ["", "bytes=", "bytes=-", "bytes=5-4", "bytes=0-1,4-5", "lines=0-1", "bytes=a-b",
     "bytes=" + "9" * 40 + "-", "bytes=٠-١"],
)  # fmt: skip
def test_other_headers_ask_for_the_whole_file(header):
    assert byte_range(header, 1000) is None


@pytest.mark.parametrize("header", ["bytes=1000-", "bytes=1000-2000", "bytes=-0"])
def test_range_outside_of_the_file_is_refused(header):
    with pytest.raises(RangeUnsatisfiable):
        byte_range(header, 1000)


def test_headers_of_a_part():
    assert byte_range("bytes=2-5", 10).headers == {
        "Content-Range": "bytes 2-5/10", "Content-Length": "4",
    }  # fmt: skip
