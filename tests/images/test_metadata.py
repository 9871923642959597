"""What files state about their images, and statements that make no sense."""

import io
import struct

import numpy as np
import pytest
from PIL import Image
from PIL.TiffImagePlugin import IFDRational

from imgsearch.errors import ConfigError
from imgsearch.images.metadata import FIELDS, checked_names, fitting, read
from tests.pictures import picture

XMP = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF><rdf:Description xmp:Rating="4">'
    "<dc:subject><rdf:Bag><rdf:li>K&#228;se</rdf:li><rdf:li>Brot; Butter</rdf:li>"
    "<rdf:li>Käse</rdf:li></rdf:Bag></dc:subject></rdf:Description></rdf:RDF></x:xmpmeta>"
).encode()


def exif_of(ifd0=(), details=(), gps=()):
    exif = Image.Exif()
    exif.update(ifd0)
    exif.get_ifd(0x8769).update(details)
    exif.get_ifd(0x8825).update(gps)
    return exif


PLACE = {1: "S", 2: (33.0, 51.0, 30.0), 3: "E", 4: (151.0, 12.0, 36.0)}
GOOD = exif_of(
    {0x010F: "NIKON", 0x0110: "NIKON D5", 0x0132: "2024:05:02 00:00:00", 0x0112: 6},
    {0x9003: "2024:05:01 18:30:59", 0xA434: "50 mm f/1.8\0\0"},
    PLACE,
)


def image_bytes(form="JPEG", exif=GOOD, **options):
    file = io.BytesIO()
    Image.fromarray(picture(1)).save(file, form, exif=exif, **options)
    return file.getvalue()


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_header_states_time_camera_size_and_place(form):
    facts = read(image_bytes(form))
    assert facts == {
        "taken": "2024-05-01T18:30:59",
        "camera": "NIKON D5",
        "lens": "50 mm f/1.8",
        "width": 48,  # upright; the file has 64 x 48
        "height": 64,
        "latitude": pytest.approx(-(33 + 51 / 60 + 30 / 3600)),
        "longitude": pytest.approx(151 + 12 / 60 + 36 / 3600),
    }


def test_tiff_states_its_own_directory():
    facts = read(image_bytes("TIFF"))  # Pillow writes no other directories
    assert facts["taken"] == "2024-05-02T00:00:00"
    assert (facts["camera"], facts["width"], facts["height"]) == ("NIKON D5", 48, 64)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_xmp_states_keywords_and_rating(form):
    options = {"xmp": XMP}
    if form == "PNG":
        from PIL.PngImagePlugin import PngInfo

        info = PngInfo()
        info.add_itxt("XML:com.adobe.xmp", XMP.decode())
        options = {"pnginfo": info}
    facts = read(image_bytes(form, **options), ["keywords", "rating"])
    assert facts == {"keywords": "Käse; Brot, Butter", "rating": 4}


def test_windows_states_keywords_and_rating():
    exif = exif_of({0x9C9E: "Käse;猫\0".encode("utf-16-le"), 0x4746: 5, 0x0110: "X100"})
    facts = read(image_bytes(exif=exif))
    assert (facts["keywords"], facts["rating"], facts["camera"]) == ("Käse; 猫", 5, "X100")


def test_file_without_metadata_states_its_size():
    file = io.BytesIO()
    Image.fromarray(np.zeros((3, 5), np.uint8)).save(file, "GIF")
    assert read(file.getvalue()) == {"width": 5, "height": 3}
    assert read(b"kein Bild") == read(b"") == {}


@pytest.mark.parametrize(
    ("ifd0", "details", "gps"),
    [
        ({0x0132: "0000:00:00 00:00:00", 0x4746: 99}, {0x9003: "2024:13:45 99:99:99"}, {}),
        ({0x0132: "9999:01:01 00:00:00"}, {0x9003: "1024:01:01 00:00:00"}, {}),
        ({0x0132: b"\xff\xfe\0"}, {0x9003: "   "}, {1: "N"}),
        ({}, {}, {**PLACE, 2: (IFDRational(1, 0), 0, 0)}),
        ({}, {}, {**PLACE, 2: (91.0, 0.0, 0.0)}),
        ({}, {}, {**PLACE, 4: (4294967295.0, 0.0, 0.0)}),
        ({}, {}, {**PLACE, 2: (1.0, 2.0)}),
        ({}, {}, {1: "N", 2: (1.0, 2.0, 3.0)}),
    ],
)
def test_values_that_make_no_sense_are_left_out(ifd0, details, gps):
    facts = read(image_bytes(exif=exif_of(ifd0, details, gps)))
    assert facts == {"width": 64, "height": 48}


def test_texts_are_short_and_printable():
    facts = read(image_bytes(exif=exif_of({0x0110: "a\x07b" + "x" * 9_000})))
    assert facts["camera"] == "ab" + "x" * 198


def test_damaged_metadata_raises_nothing():
    whole = image_bytes(xmp=XMP)
    start = whole.index(b"Exif")
    rng = np.random.default_rng(7)
    for _ in range(300):
        data = bytearray(whole)
        for place, value in zip(rng.integers(start, start + 400, 3), rng.bytes(3), strict=True):
            data[place] = value
        assert read(bytes(data)).keys() <= FIELDS.keys()
        assert read(whole[: rng.integers(len(whole))]).keys() <= FIELDS.keys()
    for offset in (0, 8, 0xFFFFFFFF):  # directories that point to themselves, or nowhere
        loop = b"Exif\0\0II*\0" + struct.pack("<I", 8) + struct.pack("<H", 1)
        loop += struct.pack("<HHII", 0x8769, 4, 1, offset) + struct.pack("<I", 8)
        assert read(image_bytes(exif=loop)).keys() <= FIELDS.keys()


def test_values_that_do_not_fit_a_declared_type_are_left_out():
    types = {"taken": "int", "width": "float", "camera": "str"}
    assert fitting(image_bytes(), ["taken", "width", "camera"], types) == {
        "width": 48.0,
        "camera": "NIKON D5",
    }
    assert fitting(image_bytes(), [], types) == {}


def test_names_of_facts():
    assert checked_names(None) is None
    assert checked_names(exif=True) == tuple(FIELDS)
    assert checked_names(exif=False) == ()
    assert checked_names(["taken"]) == checked_names("taken") == ("taken",)
    with pytest.raises(ConfigError, match="exif has no field 'time'. Use True, or some of taken"):
        checked_names(["time"])
