"""Archives whose images have regions: objects that a detector found."""

from importlib.util import find_spec

import numpy as np
import pytest
from PIL import Image

from imgsearch.archive import Incoming
from imgsearch.errors import ImgSearchError
from imgsearch.images.regions import crop
from tests.archive.place import archive

if find_spec("transformers") is None:
    pytest.skip("needs the extra regions", allow_module_level=True)


@pytest.fixture(scope="module")
def detection(tmp_path_factory):
    from imgsearch.encoders.detector import Detection
    from tests.detectors import write_detector

    folder = tmp_path_factory.mktemp("Melder")
    write_detector(folder)
    return Detection(str(folder), threshold=0.0, most=4, smallest=16)


def photo(number):
    blocks = np.random.default_rng(number).integers(0, 256, (9, 12, 3), dtype=np.uint8)
    return blocks.repeat(20, 0).repeat(20, 1)


@pytest.fixture
def photos(tmp_path):
    """Return four images with labels, and their bytes."""
    incoming = []
    for number in range(4):
        file = tmp_path / f"bild {number}.png"
        Image.fromarray(photo(number)).save(file)
        incoming.append(Incoming(file.name, data=file.read_bytes(), label="alt"))
    return incoming


def rows(opened):
    return list(opened.library().collection.iterate(vectors=False))


def test_object_is_found_with_its_box_in_its_image(detection, photos, tmp_path):
    with archive(tmp_path, regions=detection) as opened:
        added = opened.add(photos)
        assert (added.report.added, added.report.failed) == (4, 0)
        assert len(rows(opened)) > 8
        region = detection(photo(2))[1]
        matches = opened.search(crop(photo(2), region.box))
        assert (matches[0].entry.name, matches[0].box) == ("bild 2.png", list(region.box))
        assert matches[0].hit.score == pytest.approx(1, abs=1e-4)
        assert matches[0].hit.fields["object"] == region.label
        assert len({match.entry.id for match in matches}) == len(matches) == 4
        assert opened.search(photo(2))[0].box is None
        assert opened.repair().adopted == 0


def test_changes_and_deletions_include_the_regions(detection, photos, tmp_path):
    with archive(tmp_path, regions=detection) as opened:
        first, *_ = opened.add(photos).entries
        opened.update(first.id, label="neu")
        labels = {r.label for r in rows(opened) if str(r.fields["image"]) == first.content}
        assert labels == {"neu"}
        again = Incoming("kopie.png", data=photos[0].data, label="zwei")
        (copy,) = opened.add([again]).entries
        assert opened.delete([first.id]) == 1
        kept = [r for r in rows(opened) if r.fields["image"] == first.content]
        assert {(r.path, r.label) for r in kept} == {("kopie.png", "zwei")}
        assert len(kept) > 1
        assert all(r.fields["box"] for r in kept if "#" in r.id)
        assert opened.delete([copy.id]) == 1
        assert not [r for r in rows(opened) if r.fields["image"] == first.content]


def test_repair_finishes_images_with_their_regions(detection, photos, tmp_path):
    class Stopped(ImgSearchError):
        pass

    def stop(step):
        if step == "pending":
            raise Stopped("stopped")

    with archive(tmp_path, regions=detection, on_step=stop) as opened, pytest.raises(Stopped):
        opened.add(photos[1:2])
    with archive(tmp_path, regions=detection) as opened:
        assert opened.repair().completed == 1
        matches = opened.search(crop(photo(1), detection(photo(1))[0].box))
        assert matches[0].entry.name == "bild 1.png"
        assert matches[0].box == list(detection(photo(1))[0].box)


def test_collection_without_regions_gets_none(detection, photos, tmp_path):
    with archive(tmp_path) as opened:
        opened.add(photos[:2])
    with archive(tmp_path, regions=detection) as opened:
        assert opened.add(photos[2:]).report.added == 2
        assert len(rows(opened)) == 4
        opened.add(photos[:1], collection="new")
        assert opened.library("new").collection.count() > 1
