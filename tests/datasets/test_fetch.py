"""Published datasets are downloaded, unpacked, resumed and checked against their manifests."""

import json
import shlex
import signal
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from click.testing import CliRunner

from imgsearch import settings
from imgsearch.cli import cli
from imgsearch.datasets import dataset
from imgsearch.datasets.fetch import PUBLISHED, draft_of, fetch, limit
from imgsearch.datasets.manifest import Manifest
from imgsearch.errors import DatasetError, DownloadError
from tests.pictures import write
from tests.services.web_server import WebServer, answer, cut, stall


@pytest.fixture
def original(tmp_path):
    folder = tmp_path / "original"
    write(folder / "train/füchse", 3)
    write(folder / "train/mäuse", 2, start=3)
    write(folder / "test/füchse", 1, start=5)
    (folder / "train/mäuse/groß.jpg").write_bytes(np.random.default_rng(3).bytes(3_000_000))
    (folder / "liste.csv").write_text("id,path,label\n")
    return folder


@pytest.fixture
def manifest(original):
    return Manifest.of(original)


@pytest.fixture
def archive(original, tmp_path):
    return packed(original, tmp_path / "archiv.zip")


@pytest.fixture
def site(archive):
    with WebServer(archive.read_bytes()) as server:
        yield server


@pytest.fixture
def target(tmp_path):
    (tmp_path / "hier").mkdir()
    return tmp_path / "hier" / "ziel"


@pytest.fixture
def run(manifest, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in (*settings.VARIABLES, "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    (tmp_path / "liste.tsv").write_text(manifest.text(), encoding="utf-8")

    def run(*words):
        return CliRunner().invoke(cli, ["data", *map(str, words), "--manifest", "liste.tsv"])

    return run


def packed(folder, archive, *, without=(), extra=()):
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        for path in sorted(folder.rglob("*")):
            name = path.relative_to(folder).as_posix()
            if name not in without:
                file.write(path, f"subset/{name}")
        for name in extra:
            file.writestr(name, b"more")
    return archive


def whole(manifest, target):
    verdict = manifest.check(target)
    return (
        verdict.complete
        and not verdict.extra
        and [path.name for path in target.parent.iterdir()] == [target.name]
        and not [path for path in target.rglob("*") if path.name.startswith(".")]
    )


def test_archive_is_downloaded_checked_and_removed(site, manifest, target):
    stages = []
    done = fetch(manifest, target, url=site.url, on_progress=lambda *step: stages.append(step))
    assert (done.kept, done.written, done.passed, done.extra) == (0, 8, (), ())
    assert whole(manifest, target)
    assert list(dict.fromkeys(stage for stage, _, _ in stages)) == [
        "checking",
        "downloading",
        "unpacking",
    ]
    subset = dataset.load(target)
    assert (len(subset.gallery), len(subset.queries), subset.held_out) == (6, 1, True)


def test_complete_dataset_needs_no_work(site, manifest, target):
    fetch(manifest, target, url=site.url)
    before = {path: path.stat().st_mtime_ns for path in target.rglob("*")}
    done = fetch(manifest, target, url=site.url, offline=True)
    assert (done.kept, done.written) == (8, 0)
    assert len(site.requests) == 1
    assert before == {path: path.stat().st_mtime_ns for path in target.rglob("*")}


def test_only_missing_or_wrong_files_are_written(site, manifest, target):
    fetch(manifest, target, url=site.url)
    (target / "liste.csv").write_text("another")
    (target / "train/mäuse/groß.jpg").unlink()
    (target / "train/mäuse/mehr.jpg").write_bytes(b"the user's own")
    done = fetch(manifest, target, url=site.url)
    assert (done.kept, done.written, done.extra) == (6, 2, ("train/mäuse/mehr.jpg",))
    assert (target / "train/mäuse/mehr.jpg").read_bytes() == b"the user's own"


def test_local_archive_is_not_changed(archive, manifest, target):
    before = archive.read_bytes()
    assert fetch(manifest, target, source=archive, offline=True).written == 8
    assert whole(manifest, target)
    assert archive.read_bytes() == before


def test_source_folder_provides_matching_files_and_is_not_changed(original, manifest, target):
    (original / "train/mäuse/mehr.jpg").write_bytes(b"not asked for")
    assert fetch(manifest, target, source=original).written == 8
    assert whole(manifest, target)
    assert fetch(manifest, original, source=original).extra == ("train/mäuse/mehr.jpg",)


def test_incomplete_source_raises_with_the_missing_files(original, manifest, target):
    (original / "liste.csv").write_text("another")
    (original / "train/mäuse/groß.jpg").unlink()
    with pytest.raises(DatasetError) as error:
        fetch(manifest, target, source=original)
    message = str(error.value)
    assert "files with other content: 1 (first 'liste.csv')" in message
    assert "missing in the folder: 2 (first 'liste.csv')" in message
    assert "6 files are correct" in message
    assert not draft_of(target).exists()


def test_invalid_archive_is_removed(site, manifest, target):
    site.script = [answer(200, "<html>Grüße".encode(), ETag='"x"')]
    with pytest.raises(DatasetError, match="is removed: .*not a complete zip archive"):
        fetch(manifest, target, url=site.url)
    assert list(target.parent.iterdir()) == []
    fetch(manifest, target, url=site.url)
    assert whole(manifest, target)


def test_changed_published_archive_raises(original, manifest, target, tmp_path):
    changed = packed(original, tmp_path / "neu.zip", without=["liste.csv"], extra=["neues.csv"])
    expected_error = pytest.raises(DatasetError, match=r"missing in the folder: 1 .*neues\.csv")
    with WebServer(changed.read_bytes()) as site, expected_error:
        fetch(manifest, target, url=site.url)
    assert manifest.check(target).missing == ("liste.csv",)
    assert not draft_of(target).exists()


def test_oversized_archive_is_rejected(site, manifest, target):
    site.script = [answer(200, b"", Content_Length=limit(manifest) + 1)]
    with pytest.raises(DownloadError, match="too large"):
        fetch(manifest, target, url=site.url)
    assert list(target.parent.iterdir()) == []  # an empty folder would look like a dataset


def test_network_can_be_disabled(site, manifest, target):
    with pytest.raises(DownloadError, match="IMGSEARCH_OFFLINE"):
        fetch(manifest, target, url=site.url, offline=True)
    assert site.requests == []
    assert list(target.parent.iterdir()) == []


CHILD = """
import sys
from pathlib import Path
from imgsearch.datasets.fetch import fetch
from imgsearch.datasets.manifest import Manifest

def report(stage, done, total):
    print(stage, done, flush=True)
    if stage == sys.argv[4]:
        sys.stdin.readline()

source = sys.argv[3]
way = {"url": source} if source.startswith("http") else {"source": Path(source)}
fetch(Manifest.read(Path(sys.argv[1])), Path(sys.argv[2]), **way, on_progress=report)
"""


@pytest.fixture
def child(manifest, target, tmp_path):
    """Return a function that starts a fetching process, which waits for a line after each step."""
    (tmp_path / "liste.tsv").write_text(manifest.text(), encoding="utf-8")
    words = [sys.executable, "-c", CHILD, tmp_path / "liste.tsv", target]

    def child(source, waits):
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        return subprocess.Popen([*words, str(source), waits], text=True, **pipes)

    return child


def test_killed_unpacking_resumes(child, archive, manifest, target):
    with child(archive, "unpacking") as process:
        for line in process.stdout:
            part = target / "train/mäuse/.groß.jpg.part"
            if line.startswith("unpacking") and part.exists():
                process.send_signal(signal.SIGKILL)  # the process waits with a partial file
                break
            if line.startswith("unpacking"):
                process.stdin.write("\n")
                process.stdin.flush()
    assert part.exists()
    written = len(manifest.check(target).good)
    assert 0 < written < 8
    done = fetch(manifest, target, source=archive)
    assert (done.kept, done.written) == (written, 8 - written)
    assert whole(manifest, target)


def test_killed_download_resumes_before_the_folder_exists(child, site, manifest, target):
    site.script = [stall(1_000_000)]
    with child(site.url, "nothing") as process:
        for line in process.stdout:
            if line.split() == ["downloading", "1000000"]:
                process.send_signal(signal.SIGKILL)
                break
    assert not target.exists()
    fetch(manifest, target, url=site.url)
    assert site.requests[-1]["Range"] == "bytes=1000000-"
    assert whole(manifest, target)


def test_killed_unpacking_does_not_download_again(child, site, manifest, target):
    with child(site.url, "unpacking") as process:
        for line in process.stdout:
            if line.startswith("unpacking"):
                process.send_signal(signal.SIGKILL)
                break
    assert len(site.requests) == 1
    fetch(manifest, target, url=site.url)
    assert len(site.requests) == 1
    assert whole(manifest, target)


def test_two_processes_do_not_conflict(child, site, manifest, target):
    with child(site.url, "downloading") as process:
        for line in process.stdout:
            if line.startswith("downloading"):
                break
        with pytest.raises(DatasetError, match="another process"):
            fetch(manifest, target, url=site.url)
        process.send_signal(signal.SIGKILL)
    fetch(manifest, target, url=site.url)
    assert whole(manifest, target)


def test_command_prints_the_terms_and_the_result(run, site, manifest, tmp_path):
    done = run("fetch", "imagenet-subset", "--url", site.url)
    assert done.exit_code == 0, done.output
    size, terms, *_, last = done.stderr.splitlines()
    assert size == f"imagenet-subset: 8 files, {manifest.total / 1e6:.1f} MB"
    assert "research" in terms
    assert "data/imagenet-subset: 8 written, 0 unchanged, all files are correct" in last
    assert done.stdout == ""
    again = run("fetch", "imagenet-subset", "--url", site.url)
    assert again.exit_code == 0
    assert "no changes" in again.stderr
    assert len(site.requests) == 1
    assert run("check", "data/imagenet-subset").exit_code == 0


def test_command_without_a_network_prints_the_next_command(run, archive, manifest, tmp_path):
    with WebServer() as closed:
        url = closed.url
    failed = run("fetch", "imagenet-subset", "--url", url, "--to", "meine Bilder")
    assert failed.exit_code == 1
    (hint,) = [line for line in failed.stderr.splitlines() if line.startswith("Without")]
    assert f"download {url} on another machine, save it in this folder as reverse.zip" in hint
    archive.rename(tmp_path / "reverse.zip")
    words = shlex.split(hint.rpartition("run: ")[2])
    assert words[:2] == ["imgsearch", "data"]
    assert CliRunner().invoke(cli, words[1:]).exit_code == 0
    assert manifest.check(tmp_path / "meine Bilder").complete


def test_published_url_is_https():
    for published in PUBLISHED.values():
        assert published.url.startswith("https://")
        assert published.url.endswith(".zip")


def test_broken_connection_is_one_line_and_the_next_run_resumes(run, site):
    site.script = [cut(1000), cut(1000)]
    failed = run("fetch", "imagenet-subset", "--url", site.url)
    assert failed.exit_code == 1
    assert "the next run resumes it" in failed.stderr
    assert run("fetch", "imagenet-subset", "--url", site.url).exit_code == 0
    assert site.requests[-1]["Range"] == "bytes=1000-"


def test_skipped_names_are_listed_without_control_codes(run, original, tmp_path):
    strange = packed(original, tmp_path / "mehr.zip", extra=["\x1b[31mrot", "LIESMICH"])
    done = run("fetch", "imagenet-subset", "--from", strange)
    assert done.exit_code == 0
    assert "2 (first " in done.stderr
    assert "\x1b" not in done.stderr
    result = json.loads(run("fetch", "imagenet-subset", "--from", strange, "--json").stdout)
    assert result == {
        "folder": "data/imagenet-subset",
        "kept": 8,
        "written": 0,
        "passed": [],
        "extra": [],
    }


def test_check_lists_differences_with_exit_status_1(run, original):
    (original / "liste.csv").write_text("another")
    (original / "train/mäuse/groß.jpg").unlink()
    (original / "neu\x1b.jpg").write_bytes(b"")
    done = run("check", original)
    assert done.exit_code == 1
    assert done.stdout.splitlines() == [
        "missing train/mäuse/groß.jpg",
        "wrong liste.csv",
        "extra neu\\x1b.jpg",
    ]
    assert "6 correct, 1 missing, 1 wrong, 1 extra" in done.stderr
    result = json.loads(run("check", original, "--json").stdout)
    assert (result["good"], result["missing"]) == (6, ["train/mäuse/groß.jpg"])


def test_manifest_command_prints_a_manifest_for_check(run, original, manifest):
    done = CliRunner().invoke(cli, ["data", "manifest", str(original)])
    assert done.stdout == manifest.text()


def test_invalid_arguments_are_usage_errors(run, archive, tmp_path):
    both = run("fetch", "imagenet-subset", "--url", "https://example.org/", "--from", archive)
    assert both.exit_code == 2
    assert run("fetch", "anderes").exit_code == 2
    assert run("fetch", "imagenet-subset", "--from", "nirgends.zip").exit_code == 2
    assert run("check", "nirgends").exit_code == 2
    odd = run("fetch", "imagenet-subset", "--url", "file:///etc/passwd")
    assert (odd.exit_code, "http:// or https:// URL" in odd.stderr) == (1, True)
