"""De-duplication remembers what was measured, and which images are not duplicates."""

import json
import os
import uuid

import pytest
from PIL import Image

import imgsearch
from imgsearch.backends import connect
from imgsearch.errors import ImageNotFound, PrecisionUnreached
from imgsearch.evaluation import deduplication, verification
from imgsearch.evaluation.deduplication import find_duplicates
from imgsearch.library.copy import copy
from tests.pictures import picture, write


@pytest.fixture
def library(tmp_path):
    """Return a library of 20 pictures, and copies of the first two."""
    folder = tmp_path / "fotos"
    files = write(folder, 20)
    for file in files[:2]:
        image = Image.open(file).resize((200, 150))
        image.save(file)
        image.resize((190, 142)).save(folder / f"kopie {file.name}")
    with imgsearch.open(f"memory://{uuid.uuid4().hex}", model="classic") as opened:
        opened.add(folder)
        yield opened


def names(result):
    """Return the names of the images in each group, sorted."""
    return sorted(
        sorted(str(member.fields["path"]).rpartition("/")[2] for member in (one.kept, *one.others))
        for one in result.groups
    )


@pytest.fixture
def calls(monkeypatch):
    """Return a list of the measurements and the comparisons that are carried out."""
    carried_out = []

    def counted(module, name):
        original = getattr(module, name)

        def call(*arguments, **options):
            carried_out.append(name)
            return original(*arguments, **options)

        monkeypatch.setattr(module, name, call)

    counted(deduplication, "calibrate")
    counted(verification, "compare_copies")
    return carried_out


PAIRS = [[f"bild-ü 000{n}.png", f"kopie bild-ü 000{n}.png"] for n in (0, 1)]


def test_comparisons_are_not_repeated(library, calls, tmp_path):
    first = find_duplicates(library, threshold=0.9)
    assert names(first) == PAIRS
    assert calls.count("compare_copies") >= 2
    del calls[:]
    again = find_duplicates(library, threshold=0.9)
    assert (names(again), calls) == (PAIRS, [])
    assert again.counts == first.counts
    find_duplicates(library, threshold=0.9, again=True)
    assert calls.count("compare_copies") >= 2
    del calls[:]
    file = tmp_path / "fotos/bild-ü 0000.png"
    os.utime(file, ns=(1, 1))  # it may have other bytes now
    assert names(find_duplicates(library, threshold=0.9)) == PAIRS
    assert calls == ["compare_copies"]


@pytest.mark.long
def test_measurement_is_not_repeated_until_images_change(library, calls, tmp_path):
    first = find_duplicates(library, precision=0.5, sample=8)
    assert (first.reused, calls.count("calibrate")) == (False, 1)
    again = find_duplicates(library, precision=0.5, sample=8)
    assert (again.reused, calls.count("calibrate")) == (True, 1)
    assert json.dumps(again.measured) == json.dumps(first.measured)
    library.add([(f"{n}.png", picture(100 + n)) for n in range(2)])  # 2 of 24 are new
    assert find_duplicates(library, precision=0.5, sample=8).reused
    library.add([(f"{n}.png", picture(200 + n)) for n in range(2, 12)])
    assert not find_duplicates(library, precision=0.5, sample=8).reused
    assert not find_duplicates(library, precision=0.4, sample=8).reused
    assert find_duplicates(library, precision=0.4, sample=8).reused
    assert not find_duplicates(library, precision=0.4, sample=8, again=True).reused


def test_images_that_are_kept_apart_are_not_grouped(library, tmp_path):
    memory, folder = library.duplicate_memory, tmp_path / "fotos"
    one, other = (str(folder / name) for name in PAIRS[0])
    pair = memory.keep_apart(one, other)
    assert library.duplicate_memory.apart() == {pair}
    result = find_duplicates(library, threshold=0.9)
    assert (names(result), result.apart) == ([PAIRS[1]], 1)
    assert memory.keep_apart(*sorted(pair)) == pair
    assert memory.forget_apart(other, one)
    assert not memory.forget_apart(other, one)
    assert names(find_duplicates(library, threshold=0.9)) == PAIRS
    with pytest.raises(ImageNotFound, match="has the id or path 'weg.png'"):
        memory.keep_apart(one, "weg.png")
    with pytest.raises(ImageNotFound, match="are the same image: name two images"):
        memory.keep_apart(one, one)


def test_no_group_has_two_images_that_are_apart(library, tmp_path):
    folder = tmp_path / "fotos"
    Image.open(folder / PAIRS[0][0]).resize((180, 135)).save(folder / "a.png")
    library.add(folder)
    paths = [str(folder / name) for name in (*PAIRS[0], "a.png")]
    assert names(find_duplicates(library, threshold=0.9))[0] == ["a.png", *PAIRS[0]]
    library.duplicate_memory.keep_apart(paths[0], paths[1])
    for group in find_duplicates(library, threshold=0.9).groups:
        members = {str(member.fields["path"]) for member in (group.kept, *group.others)}
        assert not set(paths[:2]) <= members


def test_search_shows_images_that_are_kept_apart(library, tmp_path):
    one, other = (str(tmp_path / "fotos" / name) for name in PAIRS[0])

    def paths():
        hits = library.search(one, k=2, hide_duplicates=0.9)
        return {str(hit.fields["path"]) for hit in hits}

    assert other not in paths()
    library.duplicate_memory.keep_apart(one, other)
    assert paths() == {one, other}


def test_many_pairs_are_kept(library):
    ids = [record.id for record in library.collection.iterate(vectors=False)]
    memory = library.duplicate_memory
    memory._write(memory._apart, [[ids[0], f"{number:064x}"] for number in range(3_000)])
    memory.keep_apart(ids[0], ids[1])
    assert len(library.duplicate_memory.apart()) == 3_001


def test_failed_measurement_is_not_repeated(library, calls, monkeypatch):
    def fail(*_arguments, **_options):
        calls.append("calibrate")
        raise PrecisionUnreached("no threshold.", best=0.5, wanted=0.9, interval=(0.4, 0.6))

    monkeypatch.setattr(deduplication, "calibrate", fail)
    for _ in range(2):
        with pytest.raises(PrecisionUnreached, match=r"^no threshold\.") as caught:
            find_duplicates(library, precision=0.9, sample=16)
        assert (caught.value.best, caught.value.interval) == (0.5, (0.4, 0.6))
    assert "An earlier run found this; --again" in str(caught.value)
    assert calls == ["calibrate"]
    with pytest.raises(PrecisionUnreached):
        find_duplicates(library, precision=0.9, sample=16, again=True)
    assert calls == ["calibrate", "calibrate"]


@pytest.mark.long
def test_copy_keeps_pairs_comparisons_and_measurements(library, calls, tmp_path):
    pair = library.duplicate_memory.keep_apart(
        *(str(tmp_path / "fotos" / name) for name in PAIRS[0])
    )
    first = find_duplicates(library, precision=0.5, sample=16)
    with connect(library.url) as source, connect(str(tmp_path / "ü.db")) as target:
        copy(source, target, "images", name="kopie")
    del calls[:]
    with imgsearch.open(str(tmp_path / "ü.db"), collection="kopie") as other:
        assert other.duplicate_memory.apart() == {pair}
        again = find_duplicates(other, precision=0.5, sample=16)
        assert (again.reused, again.apart, names(again), calls) == (True, 1, names(first), [])
