"""Suspects of several processes and loads, and images of equal names."""

import hashlib
import os
import socket
from pathlib import Path

import pytest

from imgsearch.encoders import Recipe
from imgsearch.encoders.embedding import Chunk, Embedding
from imgsearch.library.quarantine import Quarantine, Suspects
from tests.pictures import write

ROOT = Path(__file__).parents[2]
DEAD = f"{socket.gethostname()}.99999999.0123456789abcdef"  # no process has this id


def test_images_of_a_dead_process_are_suspects_and_its_files_are_removed(tmp_path):
    with Suspects(tmp_path, "store photos").underway(["größe.jpg"]):
        (own,) = tmp_path.iterdir()
        digest = own.name.partition(".")[0]
        own.rename(tmp_path / f"{digest}.{DEAD}.json")
        (tmp_path / f"{digest}.{DEAD}.draft").write_text('["gr', "ascii")
    suspects = Suspects(tmp_path, "store photos")
    assert suspects.any_of(["größe.jpg"])
    assert not Suspects(tmp_path, "store photos migration").any_of(["größe.jpg"])
    assert [file.name for file in tmp_path.iterdir()] == [f"{digest}.json"]
    suspects.judge(["größe.jpg"], [])
    assert list(tmp_path.iterdir()) == []


def test_two_loads_keep_the_suspects_of_each_other(tmp_path):
    one, other = Suspects(tmp_path, "photos"), Suspects(tmp_path, "photos")
    one.judge(["a.jpg", "b.jpg"], ["a.jpg"])
    other.judge(["c.jpg", "d.jpg"], ["c.jpg"])
    later = Suspects(tmp_path, "photos")
    assert [later.any_of([name]) for name in ("a.jpg", "b.jpg", "c.jpg", "d.jpg")] == [
        True,
        False,
        True,
        False,
    ]


def test_images_are_suspects_until_they_are_embedded(tmp_path):
    noted = []

    def look(rows):
        noted.append(len(list(tmp_path.iterdir())))
        return rows

    def pipeline(chunk):
        look(None)
        return chunk.write("rows")

    suspects = Suspects(tmp_path, "photos")
    with Quarantine(pipeline, Embedding, suspects=suspects) as quarantine:
        assert quarantine(Chunk([("a.jpg", b"")], look)) == "rows"
    assert noted == [1, 0]


@pytest.mark.process
def test_image_with_the_name_of_one_that_crashes_is_embedded(tmp_path, monkeypatch):
    poison, other = (file.read_bytes() for file in write(tmp_path, 2))
    (tmp_path / "poison").write_text(f"crash {hashlib.sha256(poison).hexdigest()}")
    hooks = os.pathsep.join([str(ROOT / "tests/jobs/hooks"), str(ROOT)])
    monkeypatch.setenv("PYTHONPATH", hooks)  # for the child only
    monkeypatch.setenv("IMGSEARCH_TEST_POISON", str(tmp_path / "poison"))
    step = Embedding(Recipe.of("classic"))

    def pipeline(chunk):
        return chunk.write(step(chunk.images))

    names = [("image.png", poison), ("image.png", other)]
    with Quarantine(pipeline, lambda: step, careful=True, probes=True) as quarantine:
        rows = quarantine(Chunk(names, labels=[None, None]))
    assert sorted(rows.column("status").to_pylist()) == ["crash", "ok"]
