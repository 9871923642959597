import threading
from dataclasses import replace

import pytest

from imgsearch.archive import Jobs
from imgsearch.archive import jobs as module
from imgsearch.errors import JobBusy, JobNotFound, LimitExceeded, SourceError, UrlFailed
from imgsearch.types import Failure
from tests.archive.place import archive, jpeg
from tests.pictures import write


@pytest.fixture
def opened(tmp_path):
    with archive(tmp_path, roots=(tmp_path,)) as store:
        yield store


def over(jobs, job):
    """Wait until a job ends; return its state after each change."""
    return list(jobs.watch(job.id))


def test_folder_job_reports_its_stages(opened, tmp_path):
    write(tmp_path / "bilder", 5)
    (tmp_path / "bilder/kaputt.jpg").write_bytes(b"\xff\xd8\xff")
    jobs = Jobs(opened)
    try:
        job = jobs.start_folder(str(tmp_path / "bilder"))
        last = over(jobs, job)[-1]
        assert (last.state, last.error) == ("done", "")
        assert (last.found, last.decoded, last.inserted, last.indexed) == (6, 5, 5, 5)
        assert last.failed == 1
        (line,) = jobs.failures(job.id).failures
        assert line.path.endswith("kaputt.jpg")
        assert opened.catalog.job(job.id) == last
        assert jobs.recent().jobs[0] == last
        (tmp_path / "bilder/kaputt.jpg").write_bytes(jpeg(77))
        again = over(jobs, jobs.retry(job.id))[-1]
        assert (again.state, again.found, again.inserted, again.failed) == ("done", 1, 1, 0)
    finally:
        jobs.close()


def test_folder_job_adds_the_images_of_a_list(opened, tmp_path):
    write(tmp_path / "bilder", 2)
    url = "https://bilder.example/ü.jpg"
    listed = tmp_path / "liste.csv"
    listed.write_text(
        f"Ablage;Ort;Art\nx;bilder/bild-ü 0001.png;Käfer\nx;{url};Falter\nx;/etc/hostname;x\n"
    )
    jobs = Jobs(opened, fetch=lambda _url: jpeg(3))
    closed = Jobs(opened)
    columns = {"path_column": "Ort", "label_column": "Art"}
    try:
        last = over(jobs, jobs.start_folder(str(listed), **columns))[-1]
        assert (last.state, last.inserted, last.failed) == ("done", 2, 0)
        labels = {entry.name: (entry.label, entry.source) for entry in opened.entries().entries}
        assert labels == {"bild-ü 0001.png": ("Käfer", "folder"), "ü.jpg": ("Falter", "url")}
        job = closed.start_folder(str(listed), collection="other", **columns)
        last = over(closed, job)[-1]
        assert (last.state, last.inserted, last.failed) == ("done", 1, 1)
        assert "this archive does not fetch" in closed.failures(job.id).failures[0].reason
        last = over(closed, closed.start_folder(str(listed), path_column="Pfad"))[-1]
        assert (last.state, "no column is called 'Pfad'" in last.error) == ("failed", True)
    finally:
        jobs.close()
        closed.close()


def test_url_job_uses_the_given_fetch_function(opened):
    def fetch(url):
        if "weg" in url:
            raise UrlFailed("nobody answers")
        return jpeg(3)

    jobs = Jobs(opened, fetch=fetch)
    try:
        urls = ["https://bilder.example/ü.jpg?x=1", "https://weg.example/a.jpg"]
        last = over(jobs, jobs.start_urls(urls))[-1]
        assert (last.state, last.inserted, last.failed) == ("done", 1, 1)
        assert opened.entries().entries[0].place == urls[0]
        assert jobs.failures(last.id).failures[0].error == "UrlFailed"
    finally:
        jobs.close()
    with pytest.raises(SourceError, match="does not fetch"):
        Jobs(opened).start_urls(urls)


def test_canceled_job_stops_and_others_wait_their_turn(opened, tmp_path):
    going, go = threading.Event(), threading.Event()

    def fetch(url):
        going.set()
        assert go.wait(60)
        return jpeg(int(url.rpartition("/")[2]))

    jobs = Jobs(opened, fetch=fetch, most=2)
    try:
        first = jobs.start_urls([f"https://x.example/{n}" for n in range(200)])
        second = jobs.start_urls(["https://x.example/300"])
        assert going.wait(60)
        with pytest.raises(LimitExceeded, match="2 jobs"):
            jobs.start_urls(["https://x.example/4"])
        assert jobs.get(second.id).state == "queued"
        jobs.cancel(first.id)
        jobs.cancel(second.id)
        go.set()
        assert over(jobs, first)[-1].state == "cancelled"
        assert over(jobs, second)[-1].state == "cancelled"
        assert 0 < opened.catalog.count("images") < 200
    finally:
        go.set()
        jobs.close()


def test_interrupted_job_resumes(opened, tmp_path):
    write(tmp_path / "bilder", 3)
    jobs = Jobs(opened, workers=0)  # without workers
    job = jobs.start_folder(str(tmp_path / "bilder"))
    jobs.close()
    later = Jobs(opened)
    try:
        assert over(later, job)[-1].inserted == 3
    finally:
        later.close()


def test_resumed_job_reports_its_failures_once(opened, tmp_path):
    (tmp_path / "bilder").mkdir()
    (tmp_path / "bilder/kaputt.jpg").write_bytes(b"\xff\xd8\xff")
    jobs = Jobs(opened, workers=0)
    job = jobs.start_folder(str(tmp_path / "bilder"))
    jobs.close()
    failure = Failure("kaputt.jpg", "decode", "ImageCorrupt", "")  # recorded before the kill
    opened.catalog.add_job_failures(job.id, [failure])
    opened.catalog.save_job(replace(job, state="running", failed=1))
    # queued once, because another run would start from the beginning
    assert Jobs(opened, workers=0)._waiting.qsize() == 1
    opened.catalog.save_job(replace(job, state="running", found=9, failed=9))
    later = Jobs(opened)
    try:
        last = over(later, job)[-1]
        assert (last.state, last.found, last.failed) == ("done", 1, 1)
        assert later.failures(job.id).total == 1
    finally:
        later.close()


def test_finished_job_can_be_deleted(opened, tmp_path, monkeypatch):
    write(tmp_path / "bilder", 2)
    waiting = Jobs(opened, workers=0)
    first = waiting.start_folder(str(tmp_path / "bilder"))
    with pytest.raises(JobBusy, match="Cancel"):
        waiting.forget(first.id)
    waiting.close()
    monkeypatch.setattr(module, "KEPT", 2)
    jobs = Jobs(opened)
    try:
        over(jobs, first)
        jobs.forget(first.id)
        with pytest.raises(JobNotFound):
            jobs.get(first.id)
        assert opened.count().images == 2
        ids = [over(jobs, jobs.start_folder(str(tmp_path / "bilder")))[-1].id for _ in range(4)]
    finally:
        jobs.close()
    assert [job.id for job in opened.catalog.jobs().jobs] == ids[:1:-1]


def test_job_with_a_failing_store_reports_the_error(opened, tmp_path):
    write(tmp_path / "bilder", 1)
    jobs = Jobs(opened, workers=0)
    job = jobs.start_folder(str(tmp_path / "bilder"))
    jobs.close()
    (tmp_path / "bilder").rename(tmp_path / "anders")
    later = Jobs(opened)
    try:
        last = over(later, job)[-1]
        assert (last.state, last.error.partition(":")[0]) == ("failed", "SourceError")
    finally:
        later.close()
