"""TIFF as Pillow reads it, where Pillow 12.3 unpacks other numbers than the file holds.

Seen against tifffile on 5,208 files: both byte orders, 8 to 64 bits, integers and floats, chunky
and planar, four compressions, predictors, strips and tiles.
"""

from typing import Any, Final

import numpy as np
import numpy.typing as npt
from PIL import Image, ImagePalette
from PIL.ImageFile import _Tile
from PIL.TiffImagePlugin import TiffImageFile

from imgsearch.images import tiff

_PLANES: Final = 2  # PlanarConfiguration
_YCBCR: Final = 6  # PhotometricInterpretation
_MIN_IS_WHITE: Final = 0
_SIGNED: Final = 2  # SampleFormat
_COLOUR_MAP: Final = 320
_EXTRA_SAMPLES: Final = 338
_DEEP: Final = ("I", "F")  # modes of more than 8 bits begin so
_ONE_BY_ONE: Final = {"RGB", "RGBA", "CMYK"}  # modes whose planes libtiff's reader puts in place
# libtiff gives numbers in this machine's byte order; Pillow expects the file's for these
_NATIVE: Final = {
    "I;16": "I;16N",
    "I;16S": "I;16NS",
    "I;16BS": "I;16NS",
    "I;32S": "I;32NS",
    "I;32BS": "I;32NS",
    "F;32F": "F;32NF",
    "F;32BF": "F;32NF",
}


class TiffImage(TiffImageFile):
    """A TIFF whose samples are read as they are stored, without Pillow's own pixel limit."""

    def _open(self) -> None:
        super()._open()
        args = self.tile[0].args
        rawmode = args[0] if isinstance(args, tuple) else ""
        is_ycbcr = self.tag_v2.get(tiff.PHOTOMETRIC) == _YCBCR
        if len(self.getbands()) > 1 and self._planar_configuration == _PLANES:
            self._check_planes()
            deep = ";16N" if self.tag_v2.get(tiff.BITS, (8,))[0] == 16 else ""
            self._read_by_libtiff("RGBX" if is_ycbcr else self.mode + deep)
        elif len(self.getbands()) > 1 and is_ycbcr and not self.use_load_libtiff:
            self._read_by_libtiff("RGBX")  # Pillow's own reader takes them for four bytes a pixel
        elif self.use_load_libtiff:
            self._read_by_libtiff(rawmode)
        elif rawmode.endswith("R"):  # bytes from right to left, which Pillow's reader knows in part
            self._read_by_libtiff(rawmode.removesuffix("R").removesuffix(";"))
        colours = self.tag_v2.get(_COLOUR_MAP, ()) if self.mode in {"P", "PA"} else ()
        if colours and max(colours) < 256:  # of 8 bits in place of 16, as old writers have it
            self.palette = ImagePalette.raw("RGB;L", bytes(colours))

    def load_prepare(self) -> None:
        """Make the image that is decoded into."""
        # the base class checks Pillow's limit only where it makes the image itself
        if self._im is None:
            self.im = Image.new(self.mode, self._tile_size, None).im
        super().load_prepare()

    @property
    def is_min_white(self) -> bool:
        """Whether 0 is white and Pillow does not turn it round: so in modes above 8 bits."""
        # files of measurements often do not say; their 0 is black
        says_so = self.tag_v2.get(tiff.PHOTOMETRIC) == _MIN_IS_WHITE
        return self.mode.startswith(_DEEP) and says_so

    @property
    def is_signed(self) -> bool:
        """Whether the samples are bytes from -128 to 127."""
        return self.mode == "L" and self._sample_format == _SIGNED

    def samples(self) -> npt.NDArray[Any]:
        """Return the samples of a loaded grey image, (height, width), as their own type."""
        values: npt.NDArray[Any] = np.asarray(self)
        if self.is_signed:
            return values.view(np.int8)
        unsigned = self.mode == "I" and self._sample_format == 1
        return values.view(np.uint32) if unsigned else values

    @property
    def _sample_format(self) -> int:
        return int(self.tag_v2.get(tiff.SAMPLE_FORMAT, (1,))[0])

    def _check_planes(self) -> None:
        """Refuse planes that Pillow would put into the wrong places.

        Raises:
            ValueError: they are of such a layout.
        """
        extra = self.tag_v2.get(_EXTRA_SAMPLES, ())
        if self.mode not in _ONE_BY_ONE or (self.mode == "RGBA" and not extra):
            raise ValueError(f"a TIFF of mode {self.mode} with separate planes is not supported")

    def _read_by_libtiff(self, rawmode: str) -> None:
        args = (_NATIVE.get(rawmode, rawmode), self._compression, False, self.tag_v2.offset)
        self.use_load_libtiff = True
        self.tile = [_Tile("libtiff", (0, 0, *self._tile_size), 0, args)]
