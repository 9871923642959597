"""The gallery: a labeled dataset in the package, for examples.

It has 24 classes of 10 pictures, and one query for each class; `captions.jsonl` has a caption for
every picture. The pictures are JPEGs of 240 x 180 pixels, drawn by ``tools/gallery`` in the
repository. They are not photographs, so results on them say nothing about photographs.
"""

import shutil
import tempfile
from pathlib import Path
from typing import Final

from imgsearch.errors import DatasetError, SourceError

FOLDER: Final = Path(__file__).parent / "pictures"
"""The dataset: ``train/<class>/``, ``test/<class>/`` and ``captions.jsonl``. Read only."""


def write(folder: Path) -> None:
    """Copy the gallery to `folder` atomically. An existing copy is kept.

    >>> from imgsearch.datasets import dataset, gallery
    >>> len(dataset.load(gallery.FOLDER).queries)
    24

    Raises:
        DatasetError: the folder exists and holds other files.
        SourceError: the folder cannot be written.
    """
    if folder.exists():
        if not (folder / "captions.jsonl").is_file():
            raise DatasetError(f"{folder} holds other files. Name a folder that does not exist")
        return
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".gallery-", dir=folder.parent) as temporary:
            copy = Path(temporary) / "gallery"
            shutil.copytree(FOLDER, copy, copy_function=shutil.copyfile)
            copy.rename(folder)
    except OSError as error:
        raise SourceError(
            f"cannot write the gallery to {folder}: {error.strerror or error}", path=str(folder)
        ) from error
