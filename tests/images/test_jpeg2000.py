"""JPEG 2000 of several components keeps black and white at every depth."""

from base64 import b64decode

import numpy as np
import pytest

from imgsearch.errors import ImageCorrupt
from imgsearch.images import decode

# Four pixels of 16 bits, encoded by OpenJPEG 2.5: (0, 65535, 32768), (65407, 65408, 255),
# (256, 1, 65534), (128, 127, 40000); the signed file holds the same numbers less 32768.
LOSSLESS = (
    "/0//UQAvAAAAAAAEAAAAAQAAAAAAAAAAAAAABAAAAAEAAAAAAAAAAAADDwEBDwEBDwEB/1IADAAAAAEAAAQEAAH/XAAE"
    "QID/ZAAlAAFDcmVhdGVkIGJ5IE9wZW5KUEVHIHZlcnNpb24gMi41LjT/kAAKAAAAAAA1AAH/k9/4kFgGAepqcDHfvlb/"
    "f8/8MCAB4o87Q2Rif8/8MCALnc45MhsREP/Z"
)
SIGNED = (
    "/0//UQAvAAAAAAAEAAAAAQAAAAAAAAAAAAAABAAAAAEAAAAAAAAAAAADjwEBjwEBjwEB/1IADAAAAAEBAAQEAAH/XAAE"
    "QID/ZAAlAAFDcmVhdGVkIGJ5IE9wZW5KUEVHIHZlcnNpb24gMi41LjT/kAAKAAAAAAAwAAH/k8/8MCQQJXLa3O+CpT/f"
    "+JBIC6hA+KD3ZqPb3/iQIAfFZ+v/2Q=="
)
LOSSY = (
    "/0//UQAvAAAAAAAEAAAAAQAAAAAAAAAAAAAABAAAAAEAAAAAAAAAAAADDwEBDwEBDwEB/1IADQECAAEBAAQEAACI/1wA"
    "BUKAAP9kACUAAUNyZWF0ZWQgYnkgT3BlbkpQRUcgdmVyc2lvbiAyLjUuNP+QAAoAAAAAADQAAf+Tz+wQCl6nxkOfVYfP"
    "/CgoC6ci56m+DPtTf8/8KCQHiE2WDCd3mkf/2Q=="
)
# (value + 128) // 256, at most 255
EXPECTED = [[0, 255, 128], [255, 255, 1], [1, 0, 255], [1, 0, 156]]
# two pixels of 4 bits: (0, 15, 8), (1, 2, 3); a step is 17
FOUR_BITS = (
    "/0//UQAvAAAAAAACAAAAAQAAAAAAAAAAAAAAAgAAAAEAAAAAAAAAAAADAwEBAwEBAwEB/1IADAAAAAEAAAQEAAH/XAAE"
    "QCD/ZAAlAAFDcmVhdGVkIGJ5IE9wZW5KUEVHIHZlcnNpb24gMi41LjT/kAAKAAAAAAAdAAH/k98gIAXnz4QgAD/PhCAM"
    "P//Z"
)
COMPONENTS = 42  # offset of the bits and steps of the first component


@pytest.mark.parametrize("text", [LOSSLESS, SIGNED, LOSSY])
def test_whites_of_16_bits_are_not_black(text: str) -> None:
    np.testing.assert_allclose(decode(b64decode(text))[0].astype(int), EXPECTED, atol=1)


def test_few_bits_reach_white() -> None:
    assert decode(b64decode(FOUR_BITS)).tolist() == [[[0, 255, 136], [17, 34, 51]]]


def test_deep_subsampled_color_is_rejected() -> None:
    data = bytearray(b64decode(LOSSLESS))
    data[COMPONENTS + 4] = 2  # the second component's step across
    with pytest.raises(ImageCorrupt):
        decode(bytes(data))


def test_quantization_in_a_tile_is_rejected_if_a_sample_is_zero() -> None:
    data = bytearray(b64decode(LOSSLESS))
    steps = data[data.index(b"\xff\x5c") :][:6]
    tile = data.index(b"\xff\x90")
    data[tile + 9] += len(steps)  # its length
    data[tile + 12 : tile + 12] = steps
    with pytest.raises(ImageCorrupt, match="quantization in a tile is not supported"):
        decode(bytes(data))
