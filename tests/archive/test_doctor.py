"""The doctor looks at catalog and originals, changes nothing, and shows no secret."""

import sqlite3

import pytest

from imgsearch.archive import opened
from imgsearch.archive.access import Keys
from imgsearch.archive.doctor import examine
from imgsearch.catalog.database import Database
from tests.service.topologies import plain


def contents(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


def test_missing_archive_is_not_created(tmp_path):
    (finding,) = examine(tmp_path / "fehlt")
    assert (finding.state, finding.fact) == ("absent", "does not exist yet")
    empty = tmp_path / "leer"
    empty.mkdir()
    assert [finding.state for finding in examine(empty)] == ["absent", "absent"]
    assert list(empty.iterdir()) == []


def test_archive_is_counted_and_left_unchanged(tmp_path):
    with opened(tmp_path / "größe", **plain(tmp_path / "p").arguments()) as archive:
        Keys(archive.catalog).create("я", ["read"])
    before = contents(tmp_path)
    places = {"catalog": str(tmp_path / "p/catalog.db"), "originals": str(tmp_path / "p/originals")}
    catalog, originals = examine(tmp_path / "nirgends", **places)
    assert (catalog.state, catalog.fact) == ("ok", "0 images, 1 API key")
    assert (originals.state, originals.fact) == ("ok", "responds")
    assert contents(tmp_path).keys() == before.keys()


def test_outdated_catalog_is_not_migrated(tmp_path):
    file = tmp_path / "catalog.db"
    database = Database(str(file), password=None, timeout=5)
    database.upgrade(to="0002")
    database.close()
    finding, _ = examine(tmp_path)
    assert (finding.state, finding.fact) == ("ok", "of an older version")
    with sqlite3.connect(file) as connection:
        (version,) = connection.execute("SELECT version_num FROM imgsearch_version").fetchone()
    connection.close()
    assert version == "0002"


@pytest.mark.parametrize(
    ("places", "fact"),
    [
        ({"originals": "s3://bucket/p?endpoint=http://127.0.0.1:1&secret=geheim"}, "unknown"),
        ({"originals": "s3://bucket/p?endpoint=http://127.0.0.1:1"}, "access key"),
        ({"originals": "ftp://ada:geheim@host/x"}, "unknown"),
        ({"catalog": "mysql://ada:geheim@host/x"}, "contains a password"),
        ({"catalog": "mysql://ada@127.0.0.1:1/x", "catalog_password": "geheim"}, "cannot be"),
        ({"catalog": "a\0b"}, "invalid"),
    ],
)
def test_wrong_places_are_findings_without_secrets(tmp_path, places, fact):
    findings = [
        finding for finding in examine(tmp_path, timeout=2, **places) if finding.state == "wrong"
    ]
    (finding,) = findings
    assert fact in finding.fact
    assert "geheim" not in repr(finding)
    assert finding.advice


def test_folder_of_originals_is_not_completed(tmp_path):
    (tmp_path / "originals/originals").mkdir(parents=True)
    _, finding = examine(tmp_path)
    assert finding.state == "wrong"
    assert len(list((tmp_path / "originals").iterdir())) == 1
