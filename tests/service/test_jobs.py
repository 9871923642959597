"""Background loads over HTTP are followed, canceled and retried."""

import json

import pytest
from click.testing import CliRunner

from imgsearch import Client
from imgsearch.cli import cli
from imgsearch.errors import SourceError, SyncRefused, UrlRefused
from tests.pictures import write
from tests.service.running import jpeg, running
from tests.service.topologies import plain
from tests.services.web_server import WebServer

STAGES = ("found", "decoded", "embedded", "inserted", "searchable", "indexed")


def started(service, folder, collection, **options):
    answer = service.http.post(
        "/v1/jobs", json={"folder": str(folder), "collection": collection, **options}
    )
    assert answer.status_code == 202, answer.text
    assert answer.headers["Location"] == f"/v1/jobs/{answer.json()['id']}"
    return answer.json()


def test_events_report_every_stage_and_the_end(service, empty):
    folder = service.photos / empty
    write(folder / "größe", 24)
    job = started(service, folder, empty)
    with service.http.stream("GET", f"/v1/jobs/{job['id']}/events") as answer:
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        lines = list(answer.iter_lines())
    names = [line.removeprefix("event: ") for line in lines if line.startswith("event: ")]
    assert names[-1] == "end"
    assert set(names[:-1]) <= {"progress"}
    states = [json.loads(line[6:]) for line in lines if line.startswith("data: ")]
    for stage in STAGES:
        counts = [state[stage] for state in states]
        assert counts == sorted(counts)
        assert counts[-1] == 24
    assert states[-1]["state"] == "done"
    assert service.http.get(f"/v1/jobs/{job['id']}").json() == states[-1]
    listed = service.http.get("/v1/jobs", params={"limit": 1}).json()["jobs"]
    assert [state["id"] for state in listed] == [job["id"]]
    labels = service.http.get("/v1/images", params={"collection": empty, "label": "größe"})
    assert labels.json()["total"] == 24


@pytest.mark.long
def test_events_of_a_deleted_job_end(service, empty):
    folder = service.photos / empty
    write(folder, 20)
    job = started(service, folder, empty)
    with service.http.stream("GET", f"/v1/jobs/{job['id']}/events") as answer:
        lines = answer.iter_lines()
        assert next(lines) == "event: progress"
        while (response := service.http.delete(f"/v1/jobs/{job['id']}")).status_code == 409:
            assert response.json()["code"] == "job_busy"
        assert response.status_code == 204
        # with or without "end": the job may be deleted before its end is seen
        assert len(list(lines)) > 1


def test_failures_are_listed_by_reason_and_retried(service, empty):
    folder = service.photos / empty
    write(folder, 2)
    bad = folder / "später.jpg"
    bad.write_bytes(b"\xff\xd8\xff cut off")
    job = service.finished(started(service, folder, empty))
    assert (job["inserted"], job["failed"], job["state"]) == (2, 1, "done")
    (line,) = service.http.get(f"/v1/jobs/{job['id']}/failures").json()["failures"]
    assert (line["name"], line["code"]) == ("später.jpg", "image_corrupt")
    bad.write_bytes(jpeg(9))
    again = service.http.post(f"/v1/jobs/{job['id']}/retry")
    assert again.status_code == 202
    assert service.http.delete(f"/v1/jobs/{job['id']}").status_code == 204
    response = service.http.get(f"/v1/jobs/{job['id']}")
    assert (response.status_code, response.json()["code"]) == (404, "job_not_found")
    assert service.http.delete(f"/v1/jobs/{job['id']}").status_code == 404
    retried = service.finished(again.json())
    assert (retried["kind"], retried["found"], retried["inserted"]) == ("retry", 1, 1)


def test_job_stops_on_request(service, empty):
    folder = service.photos / empty
    write(folder, 300, suffix=".jpg")
    job = started(service, folder, empty)
    assert service.http.post(f"/v1/jobs/{job['id']}/cancel").status_code == 200
    over = service.finished(job)
    assert over["state"] == "cancelled"
    assert over["inserted"] < 300
    counted = service.http.get("/v1/count", params={"collection": empty}).json()
    assert counted == {"images": over["inserted"], "vectors": over["inserted"]}


def test_private_hosts_are_fetched_only_when_allowed(tmp_path):
    with (
        WebServer(jpeg(41)) as site,
        running(plain(tmp_path / "a"), tmp_path / "b", urls=True, url_hosts=["127.0.0.1"]) as own,
    ):
        started = own.http.post("/v1/jobs", json={"urls": [f"{site.url}/ü.jpg"]})
        assert own.finished(started.json())["inserted"] == 1
        url = f"{site.url}/ü.jpg"
        (hit,) = own.search("images", url=url, k=1)["hits"]
        assert hit["score"] > 0.999
        terms = [{"url": url}, {"text": "a dog", "weight": -0.5}]
        assert own.search("images", terms=terms)["hits"]
        with Client(own.url, own.secrets["read"]) as client:  # this machine downloads
            assert client.search(url, url_hosts=["127.0.0.1"])[0].id == hit["id"]
            assert client.embed([url], url_hosts=["127.0.0.1"]).shape == (1, 384)
            with pytest.raises(UrlRefused):
                client.search_many([url])


def test_only_folders_inside_the_roots_are_read(service, empty):
    outside = service.photos.parent / "outside"
    write(outside, 1)
    (service.photos / empty).symlink_to(outside)
    for folder in (outside, service.photos / "..", service.photos / empty, "/", "nowhere"):
        answer = service.http.post("/v1/jobs", json={"folder": str(folder)})
        assert (answer.status_code, answer.json()["code"]) == (422, "source_unreadable")


def test_client_syncs_folders_of_the_service(service, empty):
    first, second = service.photos / empty, service.photos / f"{empty}-größe"
    write(first / "a", 3)
    write(second, 2, start=3)
    (second / "kaputt.jpg").write_bytes(b"no image")
    progress, failures = [], []
    with Client(service.url, service.secrets["admin"], collection=empty) as client:
        plan = client.sync(first, second, dry_run=True)
        assert (plan.dry_run, plan.added, client.exists()) == (True, 6, False)
        report = client.sync(first, second, on_progress=progress.append, on_failure=failures.append)
        assert (report.added, report.unchanged, report.failed) == (5, 0, 1)
        assert (progress[-1].added, progress[-1].found) == (5, 6)
        assert tuple(failures) == report.failures
        assert failures[0].path.endswith("kaputt.jpg")
        changed, renamed, deleted = sorted((first / "a").iterdir())
        changed.write_bytes((second / "bild-ü 0003.png").read_bytes())
        renamed.rename(first / "neu.png")
        deleted.unlink()
        report = client.sync(first)
        counts = (report.added, report.changed, report.renamed, report.deleted, report.unchanged)
        assert counts == (0, 1, 1, 1, 0)
        (first / "neu.png").unlink()
        changed.unlink()
        with pytest.raises(SyncRefused, match=f"{empty}: nothing was changed.*confirm=True"):
            client.sync(first)
        assert client.sync(first, confirm=True).deleted == 2
        assert client.count() == 2
        with pytest.raises(SourceError):
            client.sync("/")


@pytest.mark.long
def test_sync_is_refused_and_confirmed(service, empty):
    folder = service.photos / empty
    write(folder / "alt", 2)
    service.finished(started(service, folder, empty, sync=True))
    (folder / "alt").rename(folder / "größe")
    job = service.finished(started(service, folder, empty, sync=True))
    assert (job["state"], job["renamed"], job["deleted"]) == ("done", 2, 0)
    for file in (folder / "größe").iterdir():
        file.unlink()
    client = Client(service.url, service.secrets["admin"], collection=empty)
    assert client.add_folder(str(folder), sync=True, dry_run=True).wait().deleted == 2
    with pytest.raises(SyncRefused, match="sync_refused"):
        client.add_folder(str(folder), sync=True).wait()
    assert client.count() == 2
    assert client.add_folder(str(folder), sync=True, confirm=True).wait().deleted == 2
    assert client.count() == 0
    files = write(folder / "b", 11)
    client.sync(folder)
    for place, file in enumerate(write(folder / "c", 11, start=50)):
        file.rename(files[place])  # as another drive at the same path
    with pytest.raises(SyncRefused, match=f"{empty}: nothing was changed"):
        client.sync(folder)
    assert client.sync(folder, confirm=True).changed == 11
    client.close()
    wrong = {"folder": str(folder), "confirm": True}
    assert service.http.post("/v1/jobs", json=wrong).status_code == 422


def command(service, monkeypatch, scope, *words):
    """Run `imgsearch jobs` with a key of the scope."""
    monkeypatch.setenv("IMGSEARCH_API_KEY", service.secrets[scope])
    return CliRunner().invoke(cli, ["jobs", *words, "--url", service.url])


def test_commands_follow_list_and_retry_jobs(service, empty, monkeypatch):
    folder = service.photos / empty
    write(folder, 3)
    (folder / "kaputt.png").write_bytes(b"kein Bild")
    job = started(service, folder, empty)["id"]
    done = command(service, monkeypatch, "read", "follow", job, "--json")
    assert done.exit_code == 0, done.output
    state = json.loads(done.stdout)
    assert (state["state"], state["inserted"], state["failed"]) == ("done", 3, 1)
    details = json.loads(command(service, monkeypatch, "read", "show", job, "--json").stdout)
    assert [failure["path"] for failure in details["failures"]] == ["kaputt.png"]
    text = command(service, monkeypatch, "read", "show", job)
    assert "kaputt.png" in text.stderr
    assert "inserted\t3" in text.stdout
    assert command(service, monkeypatch, "read", "retry", job).exit_code == 1
    retried = command(service, monkeypatch, "write", "retry", job, "--follow", "--json")
    assert json.loads(retried.stdout)["failed"] == 1
    newest = command(service, monkeypatch, "read", "list", "-n", "2", "--json")
    assert [one["kind"] for one in json.loads(newest.stdout)] == ["retry", "folder"]
    assert job in command(service, monkeypatch, "read", "list").stdout
    assert json.loads(command(service, monkeypatch, "read", "follow", "--json").stdout)["id"] != job


def test_commands_report_failed_and_missing_jobs(service, empty, monkeypatch):
    job = started(service, service.photos, empty, sync=True)["id"]
    assert command(service, monkeypatch, "write", "cancel", job).exit_code == 0
    service.finished({"id": job})
    done = command(service, monkeypatch, "read", "show", "../keys")
    assert done.exit_code == 1
    assert done.output.startswith("Error: ")
    assert command(service, monkeypatch, "read", "follow", "fehlt").exit_code == 1
    leer = service.photos / f"{empty}-leer"
    write(leer, 1)
    service.finished(started(service, leer, empty))
    next(leer.iterdir()).unlink()
    failed = started(service, leer, empty, sync=True)["id"]
    done = command(service, monkeypatch, "read", "follow", failed)
    assert done.exit_code == 1
    assert "sync_refused" in done.stdout


def test_client_lists_jobs_of_all_pages(service, empty):
    folder = service.photos / empty
    write(folder, 1)
    for _ in range(2):
        job = started(service, folder, empty)
        service.finished(job)
    with Client(service.url, service.secrets["read"]) as client:
        states = list(client.jobs())
    assert states[0].id == job["id"]
    assert len({state.id for state in states}) == len(states) >= 2
