"""Syncs that are killed at a random moment, and then completed.

A folder is changed at random: pictures are added, edited, moved and deleted. A process syncs it and
kills itself. At the end, one more sync must leave exactly the pictures of the folder.
"""

import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from PIL import Image

import imgsearch
from imgsearch.images import sources
from tests.pictures import picture

SECONDS = 0.5  # maximum time before a sync is killed; an undisturbed one takes about as long
CHANGES = 15  # between two syncs


def main(kills=20, number=60, seed=7):
    print(f"syncs: {number} drawn pictures, {kills} times SIGKILL at a random moment")
    dice = random.Random(seed)  # noqa: S311 - not for secrets
    killed = 0
    with tempfile.TemporaryDirectory() as name:
        folder, db = Path(name) / "bilder", Path(name) / "größe.db"
        for place in range(number):
            draw(folder / f"{place % 4}/{place}.png", place)
        life = 0
        while killed < kills:
            life += 1
            seconds = dice.uniform(0, SECONDS)
            words = [sys.executable, "-m", "tests.soak.syncs", str(folder), str(db), str(seconds)]
            killed += subprocess.run(words, check=False).returncode == -signal.SIGKILL
            for _ in range(CHANGES):
                change(folder, dice, number * life)
            if not life % 10:
                check(folder, db)
        check(folder, db)
    print(f"  killed {killed} of {life} syncs")
    return killed


def draw(path, seed):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture(seed)).save(path)


def change(folder, dice, seed):
    """Add, edit, move or delete a picture."""
    files = sorted(folder.rglob("*.png"))
    file, other = dice.choice(files), folder / f"{dice.randrange(4)}/{dice.randrange(200)}.png"
    match dice.randrange(4):
        case 0:
            draw(other, seed + dice.randrange(50))
        case 1:
            draw(file, seed + dice.randrange(50))
        case 2:
            file.rename(other)
        case _:
            file.unlink()


def check(folder, db):
    """Complete the sync, and compare the library with the folder."""
    files = {str(file): sources.content_id(file.read_bytes()) for file in folder.rglob("*.png")}
    with imgsearch.open(db, model="classic") as library:
        library.sync(folder, confirm=True)
        images = {row.fields["path"]: row.id for row in library.collection.iterate()}
        assert len(images) == library.count(), "two images have the same path"
        assert images.items() <= files.items(), "an image has not the path of its file"
        assert set(images.values()) == set(files.values()), "a picture is missing"
        report = library.sync(folder)
        assert report.unchanged == len(files), report


def live(folder, db, seconds):
    """Sync until this process is killed."""
    with imgsearch.open(db, model="classic") as library:
        timer = threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGKILL))
        timer.start()
        library.sync(folder, confirm=True)
        timer.cancel()


if __name__ == "__main__":
    live(sys.argv[1], sys.argv[2], float(sys.argv[3]))
