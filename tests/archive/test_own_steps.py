"""A user's own steps in an archive: their values are kept in the catalog."""

import numpy as np
import pytest

from imgsearch import image_steps, op, query_steps
from imgsearch.archive import Incoming, Jobs
from imgsearch.images.sources import content_id
from imgsearch.query import SearchOptions
from tests.archive.place import archive, images, jpeg
from tests.pictures import picture, write

COLUMNS = ("path", "label", "id", "data")


def described():
    """Steps that set the label, two fields, and leave one image out."""
    return (
        image_steps()
        .filter(COLUMNS, COLUMNS, "path", lambda path: "2" not in path)
        .map(("data", "path"), "image", op("image_decode"))
        .map("image", ("height", "caption"), lambda image: (np.int32(len(image)), "drawn"))
        .map("label", "label", lambda label: f"big {label}")
        .returning("height", "caption")
    )


@pytest.fixture
def opened(tmp_path):
    steps = {"image": described(), "query": query_steps().map("query", "query", picture)}
    with archive(tmp_path, roots=(tmp_path,), steps=steps) as store:
        yield store


def test_label_and_fields_of_own_steps_are_in_the_catalog(opened):
    given = Incoming("a.jpg", data=jpeg(0), label="cat", fields={"caption": "given", "year": 1})
    added = opened.add([given, *images(1, 4)])
    assert (added.report.added, added.report.ignored, added.report.failed) == (3, 1, 0)
    by_name = {entry.name: entry for entry in added.entries}
    height = len(picture(0))
    assert by_name["a.jpg"].fields == {"height": height, "caption": "given", "year": 1}
    assert by_name["a.jpg"].label == "big cat"
    assert by_name["bild ü 1.jpg"].fields == {"height": height, "caption": "drawn"}
    assert by_name["bild ü 1.jpg"].label == "big b"
    record = opened.library().collection.get([content_id(jpeg(0))])[content_id(jpeg(0))]
    assert record.fields["label"] == "big cat"
    assert opened.count().images == opened.count().vectors == 3
    again = opened.add(images(3, 4))
    assert (again.report.added, again.report.skipped) == (0, 1)


def test_jobs_and_queries_run_own_steps(opened, tmp_path):
    write(tmp_path / "bilder", 5)
    jobs = Jobs(opened)
    job = [*jobs.watch(jobs.start_folder(str(tmp_path / "bilder")).id)][-1]
    jobs.close()
    assert (job.state, job.inserted, job.failed) == ("done", 4, 0)
    assert (job.found, job.skipped) == (5, 1)  # one was left out
    (hit,) = opened.search(3, SearchOptions(k=1))
    assert hit.hit.score == pytest.approx(1, abs=1e-3)
    assert hit.entry.fields["caption"] == "drawn"


def test_copies_and_known_contents_keep_the_labels_of_their_images(tmp_path):
    steps = {"image": image_steps().map("label", "label", lambda label: f"big {label}")}
    with archive(tmp_path, steps=steps) as opened:
        opened.add([Incoming("a.jpg", data=jpeg(0), label="0")])
        names = [("b.jpg", 1), ("c.jpg", 1), ("d.jpg", 0), ("e.jpg", 2), ("f.jpg", 3), ("g.jpg", 4)]
        items = [Incoming(name, data=jpeg(n), label=str(n)) for name, n in names]
        report = opened.add([items[0], *items]).report
        assert (report.added, report.skipped, report.failed) == (6, 1, 0)
        stored = opened.library().collection.iterate(vectors=False)
        labels = {record.id: record.fields["label"] for record in stored}
        assert labels == {content_id(jpeg(n)): f"big {n}" for n in range(5)}
        assert {entry.name: entry.label for entry in opened.entries().entries} == {
            "a.jpg": "big 0",
            **{name: f"big {n}" for name, n in names},
        }
