"""Jobs, their failures, and rows of keys."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest

from imgsearch.catalog import Job, KeyRow
from imgsearch.errors import AccessDenied, ConfigError, JobNotFound
from imgsearch.types import Failure
from tests.catalog.places import NOON


def job(number, **values):
    given = {"id": f"job-{number}", "kind": "folder", "collection": "photos"}
    return Job(**given | {"created": NOON + timedelta(seconds=number)} | values)


def test_job_round_trips(catalog):
    saved = job(
        1,
        request={"folder": "/Bilder/日本", "labels": ["ü", 1, None], "of": {"n": 2**60}},
        found=2**63 - 1,
        decoded=2,
        embedded=3,
        inserted=4,
        searchable=5,
        indexed=6,
        skipped=7,
        failed=8,
    )
    catalog.save_job(saved)
    assert catalog.job("job-1") == saved
    later = replace(
        saved, state="failed", error="BackendError: \0 ü", started=NOON, finished=NOON, found=9
    )
    catalog.save_job(later)
    assert catalog.job("job-1") == replace(later, error="BackendError: ? ü")
    assert catalog.jobs().total == 1


def test_jobs_are_listed_newest_first(catalog):
    for n in range(5):
        catalog.save_job(job(n, state="done" if n % 2 else "running"))
    catalog.save_job(job(9, created=NOON))  # created at the same time as job-0
    first = catalog.jobs(limit=2)
    catalog.save_job(job(6))
    second = catalog.jobs(limit=2, after=first.next)
    third = catalog.jobs(limit=2, after=second.next)
    page_ids = [[listed.id for listed in page.jobs] for page in (first, second, third)]
    assert page_ids == [["job-4", "job-3"], ["job-2", "job-1"], ["job-9", "job-0"]]
    assert (first.total, second.total, third.next) == (6, 7, None)
    assert [listed.id for listed in catalog.jobs("done").jobs] == ["job-3", "job-1"]


def test_deleting_a_job_deletes_its_failures(catalog):
    for n in (1, 2):
        catalog.save_job(job(n))
        catalog.add_job_failures(f"job-{n}", [Failure("ä.jpg", "decode", "ImageCorrupt", "")])
    catalog.delete_job("job-1")
    with pytest.raises(JobNotFound):
        catalog.job("job-1")
    with pytest.raises(JobNotFound):
        catalog.delete_job("job-1")
    catalog.save_job(job(1))
    assert catalog.job_failures("job-1").total == 0
    catalog.clear_job_failures("job-2")
    assert catalog.job_failures("job-2").total == 0


def test_trim_keeps_the_newest_finished_jobs(catalog):
    for n, state in enumerate(("queued", "done", "running", "failed", "cancelled", "done")):
        catalog.save_job(job(n, state=state))
        catalog.add_job_failures(f"job-{n}", [Failure("ä.jpg", "decode", "ImageCorrupt", "")])
    catalog.trim_jobs(4)
    assert catalog.jobs().total == 6
    catalog.trim_jobs(2)
    assert [kept.id for kept in catalog.jobs().jobs] == ["job-5", "job-4", "job-2", "job-0"]
    assert catalog.job_failures("job-5").total == 1


def test_concurrent_trims_do_not_fail(catalog):
    for n in range(60):
        catalog.save_job(job(n, state="done"))
        catalog.add_job_failures(f"job-{n}", [Failure("ä.jpg", "decode", "ImageCorrupt", "")])
    with ThreadPoolExecutor(4) as pool:
        for trimmed in [pool.submit(catalog.trim_jobs, 0) for _ in range(4)]:
            trimmed.result()
    assert catalog.jobs().total == 0


def test_failures_are_listed_in_order(catalog):
    catalog.save_job(job(1))
    catalog.save_job(job(2))
    failures = [Failure(f"ä {n}.jpg", "decode", "ImageCorrupt", "kaputt \ud800") for n in range(7)]
    catalog.add_job_failures("job-1", failures[:3])
    catalog.add_job_failures("job-2", failures[:1])
    catalog.add_job_failures("job-1", [])
    first = catalog.job_failures("job-1", limit=2)
    catalog.add_job_failures("job-1", failures[3:])
    second = catalog.job_failures("job-1", limit=500, after=first.next)
    assert [failure.path for failure in first.failures + second.failures] == [
        f"ä {n}.jpg" for n in range(7)
    ]
    assert first.failures[0].reason == "kaputt ?"
    assert (first.total, second.total, second.next) == (3, 7, None)
    catalog.save_job(job(1, state="done"))  # saving the job again keeps its failures
    assert catalog.job_failures("job-1").total == 7


def test_unknown_job_raises(catalog):
    for call in (
        catalog.job,
        catalog.job_failures,
        lambda id_: catalog.add_job_failures(id_, [Failure("a", "b", "c", "d")]),
    ):
        for id_ in ("job-1", "", "\ud800", "'; DROP TABLE jobs; --"):
            with pytest.raises(JobNotFound, match="job .* does not exist"):
                call(id_)


@pytest.mark.parametrize(
    "wrong", [{"id": "a b"}, {"kind": "x"}, {"state": "x"}, {"found": -1}, {"collection": ""}]
)
def test_invalid_jobs_are_rejected(catalog, wrong):
    with pytest.raises(ConfigError):
        catalog.save_job(replace(job(1), **wrong))


def test_keys_are_saved_listed_and_deleted(catalog):
    first = KeyRow("abcdefgh", "0f" * 32, ("read", "write"), "Küche", NOON)
    second = KeyRow("abcdefgi", "1f" * 32, (), created=NOON, expires=NOON + timedelta(days=1))
    catalog.save_key(second)
    catalog.save_key(first)
    assert catalog.key("abcdefgh") == first
    assert catalog.keys() == [first, second]
    assert "0f0f" not in repr(first)
    catalog.key_used("abcdefgh", NOON)
    assert catalog.key("abcdefgh") == replace(first, last_used=NOON)
    catalog.save_key(replace(first, scopes=("admin",)))
    assert catalog.key("abcdefgh").scopes == ("admin",)
    catalog.delete_key("abcdefgh")
    catalog.key_used("abcdefgh", NOON)  # a request from before the deletion ends after it
    assert catalog.keys() == [second]
    for call in (catalog.key, catalog.delete_key):
        for id_ in ("abcdefgh", "ABCDEFGI", "", "\0"):
            with pytest.raises(AccessDenied, match="key .* does not exist"):
                call(id_)
