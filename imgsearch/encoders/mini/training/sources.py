"""What `mini` learns from: images that lie as ordinary files in public repositories."""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from imgsearch.errors import SourceError

SUFFIXES: Final = (".jpg", ".jpeg", ".png")


@dataclass(frozen=True)
class TrainingSet:
    """A repository of images at a commit.

    `label` is the part of a path, counted from 0, that names the class of an image in a folder
    "train", "test" or "val"; None where no path names one. `folder` is the one to take, "" for all.
    """

    name: str
    repository: str
    commit: str
    licence: str
    label: int | None
    about: str
    folder: str = ""


SETS: Final = (
    TrainingSet(
        "tiny-imagenet",
        "https://github.com/seshuad/IMagenet",
        "153dbc161ab7942a12c99515e80ef6454dd06693",
        "ImageNet's terms: research; its labels are not used to ship anything but weights",
        2,
        "120,000 images of 200 classes at 64 px",
    ),
    TrainingSet(
        "scenes",
        "https://github.com/ndb796/Scene-Classification-Dataset-Split",
        "063473edcb62eb9269132da1e01c6de62e95fa8c",
        "not stated; Intel's scene classification challenge of 2018",
        1,
        "17,034 images of 6 scenes at 150 px",
    ),
    TrainingSet(
        "imagenette",
        "https://github.com/thunderInfy/imagenette",
        "b850f030ff0701c36a4adc8b928ea9483a46915b",
        "ImageNet's terms, as above",
        1,
        "13,394 images of 10 classes at 224 px",
    ),
    TrainingSet(
        "mini-imagenet",
        "https://github.com/Deo0330/split_minidataset",
        "557ebcae0db23651f9370f54a5f31b1f0fd4064d",
        "ImageNet's terms, as above",
        1,
        "60,000 images of 100 classes at 84 px",
    ),
    TrainingSet(
        "rooms",
        "https://github.com/jaaumeadrover/Landscape-Image-Classification",
        "7985b6b6e532f94f96da7dee74eb9a0ae7972083",
        "not stated; the 15 scenes of Lazebnik, Schmid, Ponce, Beyond Bags of Features, 2006",
        None,
        "4,485 images of rooms, streets and landscapes at 200 px",
    ),
    TrainingSet(
        "groceries",
        "https://github.com/marcusklasson/GroceryStoreDataset",
        "fc80ba90f803d79d0383df52c5a4ac5de99ff6fc",
        "MIT",
        None,
        "5,603 images of fruit, vegetables and cartons at 348 px",
    ),
    TrainingSet(
        "houses",
        "https://github.com/emanhamed/Houses-dataset",
        "5e148219500558089cf5cf121b626b17fdde9b92",
        "not stated; Ahmed, Moustafa, House Price Estimation, 2016",
        None,
        "2,140 images of rooms and fronts of houses",
    ),
    TrainingSet(
        "flowers",
        "https://github.com/martinwestin/flower_classification",
        "c169e7e4038bc0e0e2fe80090b6dc8919539816f",
        "not stated",
        None,
        "4,317 photographs of flowers",
    ),
    TrainingSet(
        "cats-and-dogs",
        "https://github.com/quoctrung163/keras-cnn-on-cats-and-dogs-dataset",
        "8eb7e534345d1eb44401d1db6cd33a759ed653b5",
        "not stated",
        None,
        "3,003 photographs of cats and dogs",
    ),
    TrainingSet(
        "clothing",
        "https://github.com/alexeygrigorev/clothing-dataset",
        "7ed86a9cc56763b6acb35e41cb35184e43a5d218",
        "CC0",
        None,
        "5,756 photographs of clothes",
    ),
)
"""Not among them, in any form: the ImageNet subset, Caltech-101, the captioned images, Flickr8k and
imagenet-sample-images, which are for evaluation."""

NAMED: Final = (
    SETS[1],
    TrainingSet(
        "cifar-100",
        "https://github.com/cyizhuo/CIFAR-100-dataset",
        "b105b30e79972558f19db69658f34b9d0a9b009b",
        "not stated; Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009",
        1,
        "10,000 images of 100 classes at 32 px",
        "test/",
    ),
)
"""Sets whose classes' names tell where words lie that are no names of the teacher's classes, as
"forest" and "woman"."""


@dataclass(frozen=True)
class TrainingImage:
    """One file of a training set: its path, its class ("" where that is not known), its bytes."""

    path: str
    label: str
    content: bytes


def images(known: TrainingSet, git: Path) -> Iterator[TrainingImage]:
    """Yield a set's images in the order of their paths from a clone, which needs no work tree.

    `git` is its git directory.

    Raises:
        SourceError: git is missing, or the folder is no repository with that commit.
    """
    commit = known.commit or "HEAD"
    files = []
    for line in filter(None, _git(git, "ls-tree", "-r", "-z", commit).split(b"\0")):
        about, _, name = line.partition(b"\t")
        path = name.decode("utf-8", "surrogateescape")
        if path.startswith(known.folder) and path.lower().endswith(SUFFIXES):
            files.append((path, about.split()[2]))
    with subprocess.Popen(
        ["git", f"--git-dir={git}", "cat-file", "--batch"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as reader:
        given, taken = reader.stdin, reader.stdout
        if given is None or taken is None:
            raise SourceError("git gives no pipes")
        for path, blob in files:
            given.write(blob + b"\n")
            given.flush()
            size = int(taken.readline().split()[2])
            content = taken.read(size)
            taken.read(1)  # a newline
            yield TrainingImage(path, _label(known, path), content)
        given.close()


def read(known: TrainingSet, git: Path, path: str) -> bytes:
    """Return one file of a set's clone.

    Raises:
        SourceError: git is missing, or the folder is no repository with that file.
    """
    return _git(git, "show", f"{known.commit or 'HEAD'}:{path}")


def _label(known: TrainingSet, path: str) -> str:
    parts = path.split("/")
    place = known.label
    if place is None or place >= len(parts) - 1 or parts[place] == "images":
        return ""
    return parts[place] if parts[place - 1] in ("train", "test", "val") else ""


def _git(git: Path, *words: str) -> bytes:
    try:
        done = subprocess.run(["git", f"--git-dir={git}", *words], capture_output=True, check=True)
    except FileNotFoundError as error:
        raise SourceError("git is not installed") from error
    except subprocess.CalledProcessError as error:
        told = error.stderr.decode(errors="replace").strip()
        raise SourceError(f"{git} is not the repository wanted: {told}") from error
    return done.stdout
