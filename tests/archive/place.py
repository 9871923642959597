"""Archives in a folder, opened by tests and by processes that a test kills."""

import io
import os
import signal
import sys
from contextlib import contextmanager
from pathlib import Path

from PIL import Image

from imgsearch import objects
from imgsearch.archive import Archive, CollectionOptions, Incoming
from imgsearch.backends import StoreOptions
from imgsearch.catalog import Catalog
from tests.pictures import picture


@contextmanager
def archive(folder, *, on_step=None, roots=(), db=None, catalog=None, originals=None, **limits):
    """Open the archive of a folder: an embedded store, SQLite, a folder of originals."""
    with (
        Catalog(catalog or str(folder / "catalog.db")) as rows,
        Archive(
            StoreOptions(db or str(folder / "vectors.db")),
            catalog=rows,
            originals=originals or objects.connect(str(folder / "originals")),
            creation=limits.pop("creation", CollectionOptions("classic")),
            roots=roots,
            on_step=on_step,
            **limits,
        ) as opened,
    ):
        yield opened


def jpeg(number):
    file = io.BytesIO()
    Image.fromarray(picture(number)).save(file, "JPEG", quality=90)
    return file.getvalue()


def images(first, last):
    return [
        Incoming(f"bild ü {n}.jpg", data=jpeg(n), label="ab"[n % 2]) for n in range(first, last)
    ]


def state(opened, collection="images"):
    """Return an archive's rows by state, the contents of its vectors and of its originals."""
    rows = {}
    for kind in ("pending", "ready", "failed", "deleting"):
        rows[kind] = opened.catalog.count(collection, state=kind)
    library = opened.library(collection)
    vectors = {record.id for record in library.collection.iterate(vectors=False)}
    return rows, vectors, {content for content, _ in opened.originals.contents()}


def marked(die):
    """Make the embedded store call `die` with each step of creating a collection."""
    from milvus_lite import db
    from milvus_lite.engine.collection import Collection

    def mark(owner, name, step):
        method = getattr(owner, name)

        def call(*arguments, **options):
            die(step)
            return method(*arguments, **options)

        setattr(owner, name, call)

    mark(db, "save_schema", "folder made")
    mark(Collection, "__init__", "schema written")
    mark(Collection, "create_index", "collection made")


def main():
    """Add or delete images 0 to 4 in a folder's archive, and die by SIGKILL at a step.

    An addition dies in its second chunk, the images 1 and 2; image 0 is stored by then.
    """
    folder, what, step = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    reached = []

    def die(now):
        reached.append(now)
        if reached.count(step) == (2 if what == "add" else 1):
            os.kill(os.getpid(), signal.SIGKILL)

    if what == "create":
        marked(die)
    with archive(folder, on_step=die) as opened:
        if what in ("add", "create"):
            opened.add(images(0, 5))
        else:
            opened.delete([entry.id for entry in opened.entries().entries])


if __name__ == "__main__":
    main()
