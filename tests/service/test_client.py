"""The client gives the results of a library over HTTP, against a real service."""

import io

import numpy as np
import pytest
from PIL import Image

import imgsearch
from imgsearch import Client, Field, Query
from imgsearch.errors import (
    AccessDenied,
    CollectionNotFound,
    ConfigError,
    ImageNotFound,
    JobNotFound,
    ScopeMissing,
    SourceError,
)
from tests.pictures import picture, write
from tests.service.running import jpeg


@pytest.fixture
def client(service, empty):
    with Client(service.url, service.secrets["admin"], collection=empty) as opened:
        yield opened


@pytest.fixture
def photos(tmp_path):
    """Return a folder of two labels with three pictures each."""
    write(tmp_path / "Fotos/Käse", 3)
    write(tmp_path / "Fotos/猫", 3, start=3)
    return tmp_path / "Fotos"


@pytest.mark.long
def test_client_and_library_return_the_same_hits(client, photos, tmp_path):
    reports = []
    report = client.add(str(photos), on_progress=reports.append)
    assert (report.added, report.skipped, report.failed) == (6, 0, 0)
    assert (reports[0].done, reports[-1].done, reports[-1].found) == (0, 6, 6)
    some = str(next(photos.rglob("*0004.png")))
    queries = [
        some,
        jpeg(2),
        picture(5),
        Query(picture(1)).plus(jpeg(4), weight=0.5).minus(some, weight=0.25),
        Query.text("a photo of a dog"),
    ]
    with imgsearch.open(str(tmp_path / "same.db"), model="lite") as library:
        library.add(str(photos))
        for query in queries:
            for how in (
                {"k": 4},
                {"k": 2, "offset": 3},
                {"where": Field("label") == "猫"},
                {"min_score": 0.2},
                {"hide_duplicates": 0.9},
            ):
                ours, theirs = library.search(query, **how), client.search(query, **how)
                assert [hit.fields["content"] for hit in theirs] == [hit.id for hit in ours]
                for one, other in zip(ours, theirs, strict=True):
                    assert (other.score, other.distance) == pytest.approx(
                        (one.score, one.distance), abs=1e-5
                    )
                    assert other.fields["label"] == one.fields["label"]


def test_existing_images_are_skipped_and_bad_files_are_listed(client, photos, tmp_path):
    bad = tmp_path / "Fotos/Käse/kaputt.jpg"
    bad.write_bytes(jpeg(1)[:200])
    (tmp_path / "Fotos/notes.txt").write_text("kein Bild")
    lines = []
    report = client.add(str(photos), str(tmp_path / "Fotos/Käse"), on_failure=lines.append)
    assert (report.added, report.skipped, report.failed, report.ignored) == (6, 3, 2, 1)
    assert [line.path for line in lines] == [str(bad)] * 2
    assert {line.error for line in lines} == {"ImageCorrupt"}
    assert client.add(str(photos)).skipped == 6


def test_labels_of_a_list_are_saved_and_counted(client, photos):
    client.add(str(photos))
    sheet = photos / "l.csv"
    names = [f"Käse/bild-ü {n:04d}.png" for n in range(3)]
    sheet.write_text(f"path,label\n{names[0]},Brie\n{names[1]},\n{names[2]},Käse\n", "utf-8")
    report = client.add(sheet)
    assert (report.added, report.updated, report.skipped, report.failed) == (0, 2, 1, 0)
    hits = client.search(photos / names[0], k=1, where=Field("label") == "Brie")
    assert [hit.fields["label"] for hit in hits] == ["Brie"]
    sheet.write_text(f"path\n{names[0]}\n", "utf-8")
    assert client.add(sheet).skipped == 1
    sheet.write_text(f"Ort;Art\n{names[0]};Feta\n", "utf-8")
    assert client.add(sheet, path_column="ort", label_column="art").updated == 1


def test_first_of_equal_files_is_uploaded(client, tmp_path):
    (cat,) = write(tmp_path / "cat", 1)
    other = tmp_path / "dog" / cat.name
    copy = tmp_path / "ant" / "copy.png"
    for path in (other, copy):
        path.parent.mkdir()
        path.write_bytes(cat.read_bytes())
    broken = [tmp_path / name / "broken.png" for name in ("cat", "dog")]
    for path in broken:
        path.write_bytes(cat.read_bytes()[:100])
    report = client.add([cat, *broken, tmp_path])
    counts = (report.added, report.updated, report.skipped, report.failed)
    assert counts == (2, 1, 1, 4)
    (hit,) = client.search(cat, k=1)
    assert (hit.fields["label"], hit.fields["references"]) == ("cat", 2)
    assert [note.partition(" states")[0] for note in report.notes] == [str(other)]


def test_request_of_bad_files_reports_each_file(client, tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"%PDF-1.7")
    (tmp_path / "b.jpg").write_bytes(jpeg(1)[:150])
    report = client.add([str(tmp_path / "a.jpg"), str(tmp_path / "b.jpg"), str(tmp_path / "c.jpg")])
    assert {(line.path.rpartition("/")[2], line.error) for line in report.failures} == {
        ("a.jpg", "FormatRefused"),
        ("b.jpg", "ImageCorrupt"),
        ("c.jpg", "SourceError"),
    }
    with pytest.raises(SourceError):
        client.add(str(tmp_path / "nowhere"))


def test_files_of_the_same_name_are_distinguished(client, tmp_path):
    for place in ("eins", "zwei"):
        (tmp_path / place).mkdir()
        (tmp_path / place / "x.jpg").write_bytes(jpeg(7) if place == "eins" else b"GIF89a")
    report = client.add([str(tmp_path / "eins/x.jpg"), str(tmp_path / "zwei/x.jpg")])
    assert (report.added, report.failed) == (1, 1)
    assert report.failures[0].path == str(tmp_path / "zwei/x.jpg")


def test_images_are_read_updated_shown_and_removed(client, photos):
    client.add(str(photos))
    every = list(client.images(order="name"))
    assert [image.name for image in every] == sorted(image.name for image in every)
    assert client.count() == len(every) == 6
    first = client.get(every[0].id)
    assert first == every[0]
    assert (first.width, first.height, first.format, first.label) == (64, 48, "PNG", "Käse")
    assert first.created.utcoffset() is not None
    changed = client.update(first.id, label="Brot", fields={"jahr": 2024})
    assert (changed.label, dict(changed.fields)) == ("Brot", {"jahr": 2024})
    assert [image.id for image in client.images(label="Brot")] == [first.id]
    file = next(photos.rglob(first.name))
    assert client.original(first.id) == file.read_bytes()
    with Image.open(io.BytesIO(client.thumbnail(first.id, edge=64))) as small:
        assert max(small.size) == 64
    assert first.id not in {hit.id for hit in client.more_like(first.id, k=6)}
    assert client.remove(first.id, "nobody") == 1
    with pytest.raises(ImageNotFound):
        client.get(first.id)
    for wrong in ("..", "", "a/b", "ü"):
        with pytest.raises((ImageNotFound, ConfigError)):
            client.get(wrong)


@pytest.mark.long
def test_many_searches_are_answered_in_order(client, photos):
    client.add(str(photos))
    queries = [picture(number) for number in range(6)] * 6  # more than fit into one request
    hits_by_query = client.search_many(queries, k=1)
    assert len(hits_by_query) == 36
    assert [hits[0].id for hits in hits_by_query[:6]] == [
        client.search(query, k=1)[0].id for query in queries[:6]
    ]
    failed = client.search_many([b"GIF89a", picture(1)], k=1, errors="keep")
    assert isinstance(failed[0], imgsearch.errors.ImgSearchError)
    assert failed[1][0].score == pytest.approx(1, abs=1e-3)


def test_vectors_are_not_sent(client, photos):
    with pytest.raises(ConfigError, match="no vectors"):
        client.search(np.ones(384, np.float32))


def test_job_is_followed_to_its_end(client, service):
    folder = service.photos / client.name
    write(folder / "größe", 5)
    (folder / "größe/kaputt.jpg").write_bytes(jpeg(1)[:200])
    states = []
    job = client.add_folder(str(folder))
    ended = job.wait(timeout=60, on_progress=states.append)
    assert (ended.state, ended.inserted, ended.failed) == ("done", 5, 1)
    assert states[-1] == ended == job.progress
    (line,) = job.failures()
    assert (line.path, line.error) == ("größe/kaputt.jpg", "ImageCorrupt")
    again = job.retry()
    assert again.wait(timeout=60).failed == 1
    assert client.job(job.id).progress.id == job.id
    job.cancel()
    assert job.progress.state == "done"
    job.forget()
    with pytest.raises(JobNotFound):
        _ = job.progress
    assert client.count() == 5
    with pytest.raises(SourceError):
        client.add_folder("/")
    with pytest.raises((AccessDenied, SourceError)):
        client.add_urls(["http://127.0.0.1/a.jpg"])
    with pytest.raises(JobNotFound):
        client.job("nobody").wait()


def test_collections_are_listed_and_dropped_by_name(client, photos):
    with pytest.raises(CollectionNotFound):
        client.search(picture(1))
    client.add(str(photos))
    (ours,) = [collection for collection in client.collections() if collection.name == client.name]
    assert (ours.images, ours.vectors, ours.model, ours.dim) == (6, 6, "lite", 384)
    with pytest.raises(ConfigError):
        client.drop(client.name, confirm="images")
    assert client.drop(client.name, confirm=client.name) == 6
    with pytest.raises(CollectionNotFound):
        client.drop(client.name, confirm=client.name)


def test_models_and_health(client):
    assert {"lite", "classic"} <= {model.name for model in client.models()}
    assert set(client.health().values()) == {"ok"}


def test_invalid_keys_and_scopes_raise_access_denied(service, empty, photos):
    with Client(service.url, collection=empty) as nobody, pytest.raises(AccessDenied):
        nobody.count()
    with Client(service.url, service.secrets["read"], collection=empty) as reader:
        assert reader.count() == 0
        with pytest.raises(ScopeMissing):
            reader.add(str(photos))
    wrong = "img_0123456789ab_" + "x" * 43
    with Client(service.url, wrong) as stranger, pytest.raises(AccessDenied) as caught:
        stranger.count()
    assert wrong not in repr(caught.value)
