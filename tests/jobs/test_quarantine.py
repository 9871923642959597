"""An image that kills the process or hangs fails alone, wherever images are embedded."""

import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import imgsearch
from imgsearch.backends.vectors.folder import JobFolder
from imgsearch.encoders import Recipe
from imgsearch.encoders.embedding import Embedding
from imgsearch.encoders.isolated import IsolatedEmbedding
from imgsearch.errors import BackendUnavailable, ModelNotFound
from tests import pictures
from tests.soak.service import service

ROOT = Path(__file__).parents[2]
ENVIRONMENT = os.environ  # noqa: TID251 - children get it
pytestmark = pytest.mark.process


@pytest.fixture
def photos(tmp_path):
    """Write 12 pictures; return the folder, and the environment in which two are poison."""
    files = pictures.write(tmp_path / "fotos", 12)
    poison = {"crash": files[3], "hang": files[7]}
    lines = [f"{kind} {hashlib.sha256(f.read_bytes()).hexdigest()}" for kind, f in poison.items()]
    (tmp_path / "poison").write_text("\n".join(lines))
    return tmp_path / "fotos", poison


def hooks(tmp_path, *, poison=True):
    """Return the environment in which photos are poison."""
    folders = [str(ROOT / "tests/jobs/hooks")] if poison else []
    return {
        "PYTHONPATH": os.pathsep.join([*folders, str(ROOT)]),
        "IMGSEARCH_TEST_POISON": str(tmp_path / "poison"),
        "IMGSEARCH_CACHE": str(tmp_path / "cache"),
    }


def command(tmp_path, *words, poison=True, timeout=240):
    return subprocess.run(
        [sys.executable, "-m", "imgsearch", *map(str, words)],
        env={**ENVIRONMENT, **hooks(tmp_path, poison=poison)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=timeout,
    )


@pytest.mark.parametrize(
    "kinds", [("crash",), pytest.param(("crash", "hang"), marks=pytest.mark.nightly)]
)
def test_job_goes_on_after_images_that_crash_or_hang(photos, tmp_path, kinds):
    folder, poison = photos
    lines = (tmp_path / "poison").read_text().splitlines()
    (tmp_path / "poison").write_text("\n".join(lines[: len(kinds)]))
    embed = ("embed", folder, "--to", "job", "--model", "classic", "--shard", 6)
    codes = [command(tmp_path, *embed).returncode]
    if codes[-1]:
        codes.append(command(tmp_path, "embed", "--to", "job").returncode)
    assert codes == [-9, 0]
    job = JobFolder.open(tmp_path / "job")
    failures = list(job.failures())
    assert [f.path for f in failures] == [str(poison[kind]) for kind in kinds]
    assert {(f.stage, f.error) for f in failures} == {("crash", "ImageCrashed")}
    assert (job.progress().images, job.progress().is_complete) == (12 - len(kinds), True)
    with imgsearch.open("memory://", collection="plain", model="classic") as library:
        library.add(folder)
        with imgsearch.connect(job.url) as store:
            for row in store.open("images").iterate():
                known = library.collection.get([row.id], vectors=True)[row.id]
                np.testing.assert_allclose(row.vector, known.vector, atol=1e-6)


@pytest.mark.nightly
@pytest.mark.timeout(900)
@pytest.mark.parametrize("engine", ["ray", "daft"])
def test_engine_goes_on_after_images_that_crash_or_hang(photos, tmp_path, engine):
    pytest.importorskip(engine)
    folder, poison = photos
    embed = ("embed", folder, "--to", "job", "--model", "classic", "--shard", 6)
    done = command(tmp_path, *embed, "--engine", engine, timeout=800)
    assert done.returncode == 0, done.stderr
    job = JobFolder.open(tmp_path / "job")
    failures = list(job.failures())
    assert [f.path for f in failures] == [str(file) for file in poison.values()]
    assert {(f.stage, f.error) for f in failures} == {("crash", "ImageCrashed")}
    assert (job.progress().images, job.progress().is_complete) == (10, True)


def test_add_goes_on_after_an_image_that_crashes(photos, tmp_path):
    folder, poison = photos
    (tmp_path / "poison").write_text((tmp_path / "poison").read_text().splitlines()[0])
    add = ("add", folder, "--db", "photos.db", "--model", "classic")
    assert command(tmp_path, *add).returncode == -9
    for _ in range(2):  # the image is known then
        again = command(tmp_path, *add)
        assert again.returncode == 0, again.stderr
        assert "1 failed" in again.stderr
        assert f"{poison['crash'].name}: decoding or embedding it kills" in again.stderr
    assert len(list((tmp_path / "cache/suspects").iterdir())) == 1
    healed = command(tmp_path, *add, poison=False)
    assert re.search(r"Added 1 image in .* s; 11 skipped", healed.stderr)
    assert list((tmp_path / "cache/suspects").iterdir()) == []


@pytest.mark.parametrize(
    "kinds", [("crash",), pytest.param(("crash", "hang"), marks=pytest.mark.nightly)]
)
def test_migration_goes_on_after_images_that_crash_or_hang(photos, tmp_path, kinds):
    folder, poison = photos
    lines = (tmp_path / "poison").read_text().splitlines()
    (tmp_path / "poison").write_text("\n".join(lines[: len(kinds)]))
    with imgsearch.open(tmp_path / "photos.db", model="classic") as library:
        library.add(folder)
    migrate = ("migrate", "--db", "photos.db", "--model", "lite", "--yes", "--sample", 0)
    killed = command(tmp_path, *migrate)
    # an image that hangs is noticed in the same run, and images after it cannot kill the process
    assert killed.returncode == -9 or (len(kinds) == 2 and killed.returncode == 1), killed.stderr
    again = command(tmp_path, *migrate, "--report", "failures.jsonl", "--json")
    assert again.returncode == 1, again.stderr  # not switched, because images are missing
    failures = list(map(json.loads, (tmp_path / "failures.jsonl").read_text().splitlines()))
    assert {(f["path"], f["error"]) for f in failures} == {
        (str(poison[kind]), "ImageCrashed") for kind in kinds
    }
    assert len(failures) == len(kinds)
    report = json.loads(again.stdout)
    assert (report["missing"], report["switched"]) == (len(kinds), False)
    with imgsearch.open(tmp_path / "photos.db") as library:
        assert library.shadow.count() == 12 - len(kinds)
    assert len(list((tmp_path / "cache/suspects").iterdir())) == 1


def test_shard_that_kills_its_process_thrice_is_given_up(photos, tmp_path):
    folder, _ = photos
    imgsearch.embed(folder, to=tmp_path / "job", model="classic", shard=6)
    for name in ("done/000001.json", "vectors/000001.parquet"):
        (tmp_path / "job" / name).unlink()
    for attempt in (1, 2, 3):
        (tmp_path / f"job/tried/000001.{attempt}").write_text("0")
    job = imgsearch.embed(to=tmp_path / "job")
    assert job.progress().abandoned == (1,)
    (note,) = job.report.notes
    assert "1 shard was given up, because 3 attempts died at the same place: 000001" in note
    again = command(tmp_path, "embed", "--to", "job", poison=False)
    assert again.returncode == 1
    assert "--to job --retry" in again.stderr.replace(f"{tmp_path}/", "")
    job = imgsearch.embed(to=tmp_path / "job", retry=True)
    assert (job.progress().is_complete, job.outcome(1).attempts) == (True, 2)


def test_isolated_rows_equal_rows_of_this_process(tmp_path):
    files = pictures.write(tmp_path, 5)
    items = [(str(file), file.read_bytes()) for file in files] + [("leer.png", b"")]
    step = Embedding(Recipe.of("lite"))
    with IsolatedEmbedding(step) as isolated:
        assert isolated(items).equals(step(items))
        assert isolated([]).num_rows == 0
    with IsolatedEmbedding(Embedding(Recipe("nope"))) as isolated, pytest.raises(ModelNotFound):
        isolated(items)


ARCHIVE = """
import sys
from pathlib import Path
from imgsearch.archive import opened

folder = Path(sys.argv[1])
with opened(Path("data"), roots=[folder]) as archive:
    added = archive.add(archive.folder(folder))
    print(added.report.added, added.report.skipped)
    print(*[(failure.path, failure.error) for failure in added.report.failures])
"""


def add_to_archive(folder, tmp_path):
    """Add a folder to an archive; return the exit status and the lines of the output."""
    done = subprocess.run(
        [sys.executable, "-c", ARCHIVE, str(folder)],
        env={**ENVIRONMENT, **hooks(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=240,
    )
    return done.returncode, done.stdout.splitlines()


def test_archive_goes_on_after_an_image_that_crashes(photos, tmp_path):
    folder, poison = photos
    (tmp_path / "poison").write_text((tmp_path / "poison").read_text().splitlines()[0])
    failure = str((str(poison["crash"]), "ImageCrashed"))
    assert add_to_archive(folder, tmp_path)[0] == -9
    status, (_, failed) = add_to_archive(folder, tmp_path)
    assert (status, failed) == (0, failure)
    assert add_to_archive(folder, tmp_path) == (0, ["0 11", failure])


@pytest.mark.nightly
def test_archive_goes_on_after_an_image_that_hangs(photos, tmp_path):
    folder, poison = photos
    (tmp_path / "poison").write_text((tmp_path / "poison").read_text().splitlines()[1])
    failure = str((str(poison["hang"]), "ImageCrashed"))
    assert add_to_archive(folder, tmp_path) == (0, ["11 0", failure])


@pytest.mark.nightly
def test_migration_of_an_archive_goes_on_after_an_image_that_crashes(photos, tmp_path):
    folder, poison = photos
    lines = (tmp_path / "poison").read_text().splitlines()
    (tmp_path / "poison").write_text("")
    assert add_to_archive(folder, tmp_path) == (0, ["12 0", ""])
    (tmp_path / "poison").write_text(lines[0])
    migrate = ("migrate", "--data", "data", "--model", "classic", "--yes", "--sample", 0)
    assert command(tmp_path, *migrate).returncode == -9
    again = command(tmp_path, *migrate, "--skip-missing", "--report", "failures.jsonl", "--json")
    assert again.returncode == 0, again.stderr
    (failure,) = map(json.loads, (tmp_path / "failures.jsonl").read_text().splitlines())
    assert (failure["path"], failure["error"]) == (str(poison["crash"]), "ImageCrashed")
    report = json.loads(again.stdout)
    assert (report["missing"], report["switched"]) == (1, True)


@pytest.fixture
def poisoned_service(photos, tmp_path, monkeypatch):
    """Return a function that starts a service, in which one of the photos kills the process."""
    folder, _ = photos
    (tmp_path / "poison").write_text((tmp_path / "poison").read_text().splitlines()[0])
    for name, value in hooks(tmp_path).items():
        monkeypatch.setenv(name, value)
    return lambda: service(tmp_path / "data", "--root", folder)


@pytest.mark.nightly
def test_job_of_a_service_goes_on_after_an_image_that_crashes(photos, poisoned_service):
    folder, poison = photos
    with poisoned_service() as served, imgsearch.Client(served.url) as client:
        job = client.add_folder(str(folder))
        assert served.exit_code() == -9
    with poisoned_service() as served, imgsearch.Client(served.url) as client:
        state = client.job(job.id).wait(timeout=120)
        failures = [(one.path, one.error) for one in client.job(job.id).failures()]
        assert (state.state, state.failed, client.count()) == ("done", 1, 11)
        assert failures == [(poison["crash"].name, "ImageCrashed")]


def test_upload_that_kills_the_service_fails_alone_when_it_is_repeated(photos, poisoned_service):
    folder, poison = photos
    files = [poison["crash"], folder / "bild-ü 0000.png"]
    with poisoned_service() as served, imgsearch.Client(served.url) as client:
        with pytest.raises(BackendUnavailable):
            client.add(*files)
        assert served.exit_code() == -9
    with poisoned_service() as served, imgsearch.Client(served.url) as client:
        report = client.add(*files)
        assert (report.added, report.failed) == (1, 1)
        (failure,) = report.failures
        assert (failure.path, failure.error) == (str(poison["crash"]), "ImageCrashed")
