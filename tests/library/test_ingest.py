"""Loading: records and counts do not depend on the chunk size."""

import itertools
import shutil
import signal
import threading
import uuid
from contextlib import closing

import numpy as np
import pyarrow as pa
import pytest

import imgsearch
from imgsearch.backends import StoreOptions
from imgsearch.encoders import embedding
from imgsearch.encoders.embedding import Chunk
from imgsearch.errors import BackendError
from imgsearch.images.sources import content_id, references
from imgsearch.library.collection_handle import CollectionHandle
from imgsearch.library.collection_options import CollectionOptions
from imgsearch.library.collection_sink import CollectionSink
from imgsearch.library.ingest import Ingest, Sink, Written
from imgsearch.library.progress import Candidate, Tally
from imgsearch.threads import DaemonPool
from imgsearch.types import Record
from tests.pictures import picture, write


@pytest.fixture
def library():
    with imgsearch.open(f"memory://{uuid.uuid4().hex}", model="classic") as opened:
        yield opened


class GivenFiles(CollectionSink):
    """Takes candidates in the place of references."""

    def early(self, item):
        return None

    def read(self, item, file=None):
        return item

    def path(self, item):
        return item.path


def load(files, size):
    """Load candidates in chunks of a size into a new collection; return it with the report."""
    opened = imgsearch.open(f"memory://{uuid.uuid4().hex}", model="classic", index="flat")
    sink = GivenFiles(opened._handle, Tally(len(files)))
    Ingest(sink, opened.ingest, largest=size).run(files)
    return sink.collection, sink.tally.report()


@pytest.fixture
def files(tmp_path):
    """Return six contents: copies with other labels, a broken one with copies, and single files."""
    good = [path.read_bytes() for path in write(tmp_path, 5)]
    broken = good[0][:100]
    named = [
        ("/a/cat/1.png", "cat", good[0]),
        ("/a/cat/broken.png", "cat", broken),
        ("/a/2.png", None, good[1]),
        ("/b/dog/1.png", "dog", good[0]),
        ("/b/dog/2.png", "dog", good[1]),
        ("/b/dog/broken.png", "dog", broken),
        ("/c/cat/1.png", "cat", good[0]),
        ("/c/2.png", None, good[1]),
        ("/c/fox/2.png", "fox", good[1]),
        ("/d/3.png", "", good[2]),
        ("/d/4.png", None, good[3]),
        ("/d/broken.png", None, broken),
        ("/d/5.png", "owl", good[4]),
    ]
    return [Candidate(path, label, content_id(data), data) for path, label, data in named]


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 13])
def test_first_file_of_a_content_counts_in_chunks_of_any_size(files, size):
    collection, report = load(files, size)
    stored = {row.fields["path"]: row.fields["label"] for row in collection.iterate(vectors=False)}
    assert stored == {
        "/a/cat/1.png": "cat",
        "/a/2.png": "dog",  # the first label among its files
        "/d/3.png": "",
        "/d/4.png": "",
        "/d/5.png": "owl",
    }
    counts = (report.added, report.updated, report.skipped, report.failed)
    assert counts == (5, 1, 4, 3)
    assert sum(counts) == len(files)
    assert [(line.path, line.reason) for line in report.failures] == [
        (path, f"{path}: {report.failures[0].reason.partition(': ')[2]}")
        for path in ("/a/cat/broken.png", "/b/dog/broken.png", "/d/broken.png")
    ]
    assert sorted(report.notes) == [
        "/b/dog/1.png states the label 'dog', but the same image at /a/cat/1.png has 'cat', "
        "which was stated first and counts",
        "/c/fox/2.png states the label 'fox', but the same image at /a/2.png has 'dog', "
        "which was stated first and counts",
    ]


def test_further_contradictions_are_counted(files):
    others = [Candidate(f"/x/{n}.png", str(n), files[0].id, files[0].data) for n in range(9)]
    _, report = load([files[0], *others], 4)
    assert len(report.notes) == 6
    assert report.notes[-1] == (
        "4 more files state another label than an earlier file of the same content"
    )


def test_unreadable_file_does_not_count_as_the_first_of_a_content(library, tmp_path):
    (path,) = write(tmp_path / "cat", 1)
    report = library.add([tmp_path / "gone.png", path, path])
    assert (report.added, report.skipped, report.failed) == (1, 1, 1)


def test_rejected_row_also_fails_its_copies(files, tmp_path):
    long = f"/{'x' * 70_000}.png"  # longer than the texts of any store
    first = Candidate(long, None, files[0].id, files[0].data)
    for size in (1, 3):
        _, report = load([first, files[0], files[2]], size)
        assert (report.added, report.skipped, report.failed) == (1, 0, 2)
        assert [line.stage for line in report.failures] == ["insert", "insert"]


def test_csv_corrects_and_clears_labels(library, tmp_path):
    write(tmp_path, 3)
    sheet = tmp_path / "l.csv"
    names = [f"bild-ü {n:04d}.png" for n in range(3)]

    def add(*labels):
        rows = (f"{name},{label}" for name, label in zip(names, labels, strict=True))
        sheet.write_text("\n".join(["path,label", *rows]))
        return library.add(sheet)

    assert add("dog", "dog", "dog").added == 3
    report = add("cat", "dog", "")
    assert (report.added, report.updated, report.skipped, report.failed) == (0, 2, 1, 0)
    assert report.notes == ("1 label was removed: their source has an empty label",)
    labels = [library.search(picture(n), k=1)[0].fields["label"] for n in range(3)]
    assert labels == ["cat", "dog", ""]
    sheet.write_text("\n".join(["path", *names]))
    report = library.add(sheet)
    assert (report.updated, report.skipped) == (0, 3)  # the csv has no labels


def test_label_too_long_for_a_store_fails_only_its_file(library, tmp_path):
    write(tmp_path, 3)
    library.add(tmp_path)
    sheet = tmp_path / "l.csv"
    labels = ("cat", "x" * 70_000, "dog")
    rows = (f"bild-ü {place:04d}.png,{label}" for place, label in enumerate(labels))
    sheet.write_text("\n".join(["path,label", *rows]))
    report = library.add(sheet)
    assert (report.updated, report.failed) == (2, 1)
    (line,) = report.failures
    assert (line.path, line.error) == (str(tmp_path / "bild-ü 0001.png"), "FieldInvalid")


def test_report_names_contradictions_and_repeats_of_a_csv(library, tmp_path):
    (path,) = write(tmp_path, 1)
    sheet = tmp_path / "l.csv"
    sheet.write_text(f"path,label\n{path.name},cat\n{path.name},cat\n{path.name},dog\n")
    report = library.add(sheet)
    assert (report.added, report.skipped) == (1, 2)
    assert report.notes == (
        f"{path} states the label 'dog', but the same image at {path} has 'cat', which was stated "
        "first and counts",
    )


def test_subfolders_are_labels_and_the_walked_folder_is_not(library, tmp_path):
    write(tmp_path / "cat", 1)
    assert library.add(tmp_path).added == 1
    assert library.add(tmp_path / "cat").skipped == 1
    (tmp_path / "cat").rename(tmp_path / "dog")
    assert library.add(tmp_path).updated == 1
    hit = library.search(picture(0))[0]
    assert hit.fields["label"] == "dog"
    assert hit.fields["path"].startswith(str(tmp_path / "dog"))


def test_copy_elsewhere_changes_the_label_and_not_the_path(library, tmp_path):
    (path,) = write(tmp_path / "one" / "cat", 1)
    library.add(tmp_path / "one")
    shutil.copytree(tmp_path / "one/cat", tmp_path / "two/dog")
    report = library.add(tmp_path / "two")
    assert (report.updated, report.skipped) == (1, 0)
    assert library.search(picture(0))[0].fields == {"path": str(path), "label": "dog"}


def test_new_label_of_an_image_is_written_to_its_regions(library, tmp_path):
    (path,) = write(tmp_path / "cat", 1)
    handle = CollectionHandle(StoreOptions(library.url), options=CollectionOptions("classic"))
    collection = handle.open_or_create(with_regions=True)
    content = content_id(path.read_bytes())
    vector = np.eye(1, collection.schema.dim, dtype=np.float32)[0]
    for id_, box in ((f"{content}#1", "0,0,9,9"), (content, "")):
        fields = {"path": "/gone.png", "label": "dog", "image": content, "box": box}
        collection.upsert([Record(id_, vector, fields)])
    with closing(handle), imgsearch.open(library.url) as opened:
        assert opened.add(tmp_path).updated == 1
    rows = list(library.collection.iterate(vectors=False))
    assert [row.fields["label"] for row in rows] == ["cat", "cat"]
    assert [row.fields["path"] for row in rows] == [str(path)] * 2


def test_chunk_size_doubles_from_one_image(library, tmp_path):
    write(tmp_path, 20)
    progress = []
    library.add(tmp_path, on_progress=progress.append)
    assert list(dict.fromkeys(state.added for state in progress)) == [0, 1, 3, 7, 15, 20]


def test_interrupted_load_does_not_wait_for_a_decoder_that_hangs(library, tmp_path, monkeypatch):
    write(tmp_path, 9)
    decode, calls, released = embedding.model_input, itertools.count(), threading.Event()

    def hang(*args, **options):
        call = next(calls)
        if call == 3:
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        if call >= 3:
            released.wait()
        return decode(*args, **options)

    monkeypatch.setattr(embedding, "model_input", hang)
    # a run in the background of a shell, or under nohup, ignores this signal
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            library.add(tmp_path)
    finally:
        signal.signal(signal.SIGINT, before)
    assert library.count() == 3  # of the parts with 1, 2 and 4 images
    released.set()


def test_every_write_of_many_loads_may_embed_images_itself(library, tmp_path):
    (file,) = write(tmp_path, 1)
    image, loads = (str(file), file.read_bytes()), 8  # as many as run at once
    together = threading.Barrier(loads)

    def embed_again(rows):
        together.wait()
        return library.embed_rows([image])

    with DaemonPool(loads, "test") as pool:
        chunks = [Chunk([image], embed_again, [None]) for _ in range(loads)]
        futures = [pool.submit(library.ingest, chunk) for chunk in chunks]
        assert [future.result(60).num_rows for future in futures] == [1] * loads


def test_load_interrupted_after_any_chunk_is_completed(library, tmp_path):
    write(tmp_path, 12)

    def stop(state):
        if state.added:
            raise BackendError("the process is killed here")

    for _ in itertools.repeat(None, 12):
        known = library.count()
        try:
            library.add(tmp_path, on_progress=stop)
        except BackendError:
            assert library.count() > known
        else:
            break
    assert library.count() == 12


def test_file_becomes_a_candidate_with_label_and_content_id(library, tmp_path):
    (path,) = write(tmp_path / "cat", 1)
    (reference,) = references(tmp_path)
    file = CollectionSink(library._handle, Tally()).read(reference)
    assert (file.path, file.label, file.data) == (str(path), "cat", path.read_bytes())
    assert file.id == content_id(file.data)


class CountedBytes(bytes):
    """Bytes of an image; `live` of them exist."""

    live = 0
    changed = threading.Condition()

    def __new__(cls, data):
        cls._count(1)
        return super().__new__(cls, data)

    def __del__(self):
        self._count(-1)

    @classmethod
    def _count(cls, number):
        with cls.changed:
            cls.live += number
            cls.changed.notify_all()


class Forgetful(Sink):
    """Counts images, and checks that the bytes of earlier chunks are free when one begins."""

    def __init__(self, tally, chunk):
        self.tally, self.chunk = tally, chunk

    def read(self, item, file=None):
        if item % self.chunk == 0:
            with CountedBytes.changed:
                assert CountedBytes.changed.wait_for(lambda: not CountedBytes.live, timeout=10)
        data = CountedBytes(f"ö{item}".encode())
        return Candidate(f"{item}.png", None, content_id(data), data)

    def path(self, item):
        return f"{item}.png"

    def known_path(self, key):
        return ""

    def new(self, files):
        return files, []

    def relabel(self, files):
        pass

    def to_embed(self, files):
        return files

    def write(self, files, rows):
        return Written()

    def count(self, files, written):
        self.tally.count("added", len(files))

    def finish(self):
        pass


def test_bytes_of_a_chunk_are_free_before_the_next_one_is_read():
    def pipeline(chunk):
        ids = [content_id(data) for _, data in chunk.images]
        rows = [{"id": id_, "sha256": id_, "status": "ok"} for id_ in ids]
        return chunk.write(pa.RecordBatch.from_pylist(rows))

    sink = Forgetful(Tally(7), chunk=3)
    Ingest(sink, pipeline, chunk=3).run(range(7))
    assert sink.tally.now.added == 7
