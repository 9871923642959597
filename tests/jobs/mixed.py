"""70 mixed files, and what `add` makes of them."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import imgsearch
from tests import pictures

NASTY = Path(__file__).parents[3] / "shared/data/nasty"
NUMBER = 70
_DIFFICULT = (
    "bmp__b__reallybig.bmp",
    "apng__chunk_no_fctl.png",
    "bmp__q__pal2.bmp",
    "16bit.deflate.tif",
)


def write_mixed(folder):
    """Write 70 files: pictures, difficult and damaged ones, and names that are not UTF-8."""
    for label in ("katze", "größe"):
        (folder / label).mkdir(parents=True)
        pictures.write(folder / label, 28, start=len(label), suffix=".jpg")
    first = next((folder / "katze").iterdir())
    (plain,) = pictures.write(folder, 1, start=150)
    (folder / "zz_again.jpg").write_bytes(plain.read_bytes())
    (folder / "größe/zz_again.jpg").write_bytes(first.read_bytes())
    (folder / "empty.png").write_bytes(b"")
    (folder / "link.jpg").symlink_to(folder / "nowhere.jpg")
    (folder / "cut.jpg").write_bytes(first.read_bytes()[:300])
    (folder / "cut_again.jpg").write_bytes(first.read_bytes()[:300])
    name = os.fsencode(folder) + b"/caf\xe9.png"
    Path(os.fsdecode(name)).write_bytes(pictures.write(folder, 1, start=99)[0].read_bytes())
    for number, nasty in enumerate(_DIFFICULT):
        data = (NASTY / nasty).read_bytes() if NASTY.is_dir() else b"GIF89a" + bytes([number])
        suffix = Path(nasty).suffix if NASTY.is_dir() else ".gif"
        (folder / f"nasty{number}{suffix}").write_bytes(data)
    while len(list(folder.rglob("*.*"))) < NUMBER:
        pictures.write(folder, 1, start=200 + len(list(folder.rglob("*.*"))))
    return folder


@dataclass(frozen=True)
class Added:
    """The records of a store by id, and the failures of a load."""

    records: dict
    failures: list

    @classmethod
    def by_add(cls, source, **options):
        with imgsearch.open("memory://", collection="added", **options) as library:
            report = library.add(str(source))
            records = {row.id: row for row in library.collection.iterate()}
            return cls(records, sorted(map(_cells, report.failures)))

    @classmethod
    def of_job(cls, job):
        with imgsearch.connect(job.url) as store:
            records = {row.id: row for row in store.open("images").iterate()}
        return cls(records, sorted(map(_cells, job.failures())))


def _cells(failure):
    return failure.path, failure.stage, failure.error, failure.reason


def assert_same(job, added):
    """Check that a job has the ids, vectors, fields and failures of `add`."""
    embedded = Added.of_job(job)
    assert embedded.failures == added.failures
    assert embedded.records.keys() == added.records.keys()
    for id_, record in added.records.items():
        other = embedded.records[id_]
        assert other.fields == record.fields
        np.testing.assert_allclose(other.vector, record.vector, atol=1e-6)


def files_of(job):
    """Return the bytes of a job's files of vectors and failures by name."""
    root = Path(job.files.title)
    return {
        f"{folder}/{file.name}": file.read_bytes()
        for folder in ("vectors", "failed")
        for file in (root / folder).iterdir()
    }
