"""The walkthrough of a library: neighbors without themselves, texts that stand out, copies."""

import shutil

import numpy as np
import pytest
from PIL import Image

import imgsearch
from imgsearch.datasets import gallery
from imgsearch.errors import CollectionNotFound
from imgsearch.evaluation.walkthrough import walkthrough
from imgsearch.report import walkthrough as report
from tests.pictures import write


class Angles:
    """Vectors of two numbers: an image's is its mean red and green, a text's its own length."""

    name, version, dim, languages = "angles", "1", 2, ("en",)

    def encode_images(self, images):
        return np.array([image[..., :2].reshape(-1, 2).mean(axis=0) + 1 for image in images])

    def encode_texts(self, texts):
        return np.array([[1.0, 0.0] if "red" in text else [1.0, 1.0] for text in texts])


@pytest.fixture
def library(tmp_path):
    """Return a library with one red image and five green ones, one of them twice."""
    colors = [(255, 0, 0), *((green, 255, 0) for green in (0, 20, 40, 60))]
    for place, color in enumerate(colors):
        Image.new("RGB", (64, 64), color).save(tmp_path / f"{place}.png")
    with imgsearch.open("memory://", model=Angles()) as library:
        library.add(tmp_path)
        yield library


def test_images_are_found_without_themselves(library):
    walk = walkthrough(library, queries=3, k=2)
    assert walk.images == 5
    assert len(walk.neighbors) == 3
    for record, hits in walk.neighbors:
        assert len(hits) == 2
        assert record.id not in {hit.id for hit in hits}


def test_texts_whose_best_image_stands_out_are_asked(library):
    # "red" has cosine 1 to one image and at most .3 to the others; "else" about .7 to .8 to all
    walk = walkthrough(library, texts=["something else", "a red square"], most_texts=1)
    ((text, hits),) = walk.texts
    assert (text, walk.offered) == ("a red square", 2)
    assert hits[0].path.endswith("0.png")


def test_same_library_gives_the_same_searches(library):
    one, other = (walkthrough(library, queries=2) for _ in range(2))
    assert [record.id for record, _ in one.neighbors] == [
        record.id for record, _ in other.neighbors
    ]
    assert np.array_equal(one.map.places, other.map.places)


def test_encoder_without_texts_has_no_text_searches(tmp_path):
    write(tmp_path, 3)
    with imgsearch.open("memory://", model="classic") as library:
        library.add(tmp_path)
        walk = walkthrough(library)
    assert walk.texts == []
    assert "This encoder takes images only." in report.page(
        "x", walk, lead="", facts={}, next_commands=[]
    )


def test_copies_are_near_duplicates_on_the_page(tmp_path):
    (picture, other, *_) = sorted((gallery.FOLDER / "train").rglob("*.jpg"))[::40]
    for path in (picture, other):
        shutil.copy(path, tmp_path)
    with Image.open(picture) as image:
        image.resize((image.width * 3 // 4, image.height * 3 // 4)).save(tmp_path / "copy.jpg")
    with imgsearch.open("memory://", model="lite") as library:
        library.add(tmp_path)
        walk = walkthrough(library)
    (group,) = walk.duplicates.groups
    assert len(group.others) == 1
    page = report.page(
        "Photos", walk, lead="Photos of <x>", facts={}, next_commands=["a 'b'", "c <d>"]
    )
    assert "1 image in 1 group among 3 images" in page
    assert "Photos of &lt;x&gt;" in page
    assert "<pre>a &#x27;b&#x27;\nc &lt;d&gt;</pre>" in page


def test_empty_library_is_an_error():
    with (
        imgsearch.open("memory://", model="classic") as library,
        pytest.raises(CollectionNotFound, match="no images to show"),
    ):
        walkthrough(library)
