"""A job that is killed at any time ends with the same files, and runs no done shard again."""

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

import imgsearch
from imgsearch.backends.vectors.folder import JobFolder
from tests import pictures
from tests.jobs.mixed import files_of

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}  # noqa: TID251 - children get it
MARKS = [pytest.mark.nightly, pytest.mark.timeout(900)]
pytestmark = pytest.mark.process


@pytest.mark.parametrize(
    ("engine", "kills", "images"),
    [
        ("here", 3, 40),
        pytest.param("here", 30, 480, marks=MARKS),
        pytest.param("ray", 10, 120, marks=MARKS),
    ],
)
def test_kills_at_random_times_change_no_file(tmp_path, engine, kills, images):
    pictures.write(tmp_path / "fotos", images, suffix=".jpg")
    (tmp_path / "fotos/leer.png").write_bytes(b"")
    options = {"model": "classic", "shard": 4}
    expected = files_of(imgsearch.embed(tmp_path / "fotos", to=tmp_path / "calm", **options))
    job, rng = Killed(tmp_path, engine), random.Random(7)  # noqa: S311 - of a test
    for number in range(kills):
        # the first kills wait for a shard, so that they are sure to hit a running job
        job.kill_after(shards=number * images // (4 * kills), seconds=rng.uniform(0, 0.3))
    job.finish()
    assert job.killed >= kills * 2 // 3  # the others came after the last shard
    folder = JobFolder.open(tmp_path / "job")
    assert folder.progress().is_complete
    assert files_of(folder) == expected


class Killed:
    """A job that runs in a process, which is killed."""

    def __init__(self, root, engine):
        self.root, self.engine = root, engine
        self.times, self.killed = {}, 0

    def kill_after(self, *, shards, seconds):
        """Start the job; kill it some time after a number of shards are done."""
        with self._started() as process:
            try:
                while process.poll() is None and len(self._done()) <= shards:
                    process_wait(process, 0.02)
                process_wait(process, seconds)
            finally:
                process.kill()
        self.killed += process.returncode == -9
        self._check()

    def finish(self):
        """Run the job until it ends by itself."""
        for _ in range(3):
            with self._started("--retry") as process:
                code = process.wait(240)
            self._check()
            if code == 0:
                return
        raise AssertionError(f"the job ended with {code}")

    def _started(self, *words):
        command = ("-m", "imgsearch", "embed", "fotos", "--to", "job", "--model", "classic")
        return subprocess.Popen(
            [sys.executable, *command, "--shard", "4", "--engine", self.engine, *words],
            cwd=self.root,
            env=ENVIRONMENT,
            stderr=subprocess.DEVNULL,
        )

    def _done(self):
        return {
            file.name: (file.stat().st_mtime_ns, file.stat().st_ino)
            for file in (self.root / "job/done").glob("0*")
        }

    def _check(self):
        """Check that no shard ran that was done before."""
        now = self._done()
        assert self.times.items() <= now.items()
        self.times = now


def process_wait(process, seconds):
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return
