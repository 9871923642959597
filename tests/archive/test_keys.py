"""`imgsearch keys` prints the secret once, and only to standard output."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from click.testing import CliRunner

from imgsearch.archive.access import Keys
from imgsearch.catalog import Catalog
from imgsearch.cli import cli
from imgsearch.errors import AccessDenied, ScopeMissing


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("IMGSEARCH_CATALOG", "IMGSEARCH_CATALOG_PASSWORD"):
        monkeypatch.delenv(name, raising=False)

    def invoke(*words, code=0):
        result = CliRunner().invoke(cli, ["keys", *words])
        assert result.exit_code == code, result.output
        return result

    return invoke


def checked(path, secret, scope):
    with Catalog(str(path)) as catalog:
        return Keys(catalog).check(secret, scope)


def test_key_is_created_used_listed_and_revoked(run, tmp_path):
    created = run("create", "Käfer 犬")
    secret = created.stdout.strip()
    assert created.stdout == f"{secret}\n"
    assert secret not in created.stderr
    row = checked(tmp_path / "imgsearch-data/catalog.db", secret, "read")
    with pytest.raises(ScopeMissing):
        checked(tmp_path / "imgsearch-data/catalog.db", secret, "write")
    listed = run("list").stdout
    for word in (row.id, "Käfer 犬", "read", f"{row.last_used:%Y-%m-%d %H:%M}", "never"):
        assert word in listed
    assert secret[20:] not in listed
    assert row.digest not in listed
    assert f"key {row.id} revoked" in run("revoke", row.id).stderr
    with pytest.raises(AccessDenied):
        checked(tmp_path / "imgsearch-data/catalog.db", secret, "read")
    assert "does not exist" in run("revoke", row.id, code=1).stderr


def test_collections_of_a_key_are_listed(run):
    words = ("--collections", "b, a", "--collections", "c", "--data", "d")
    created = run("create", "Katzen", "--scope", "write", *words)
    assert "(write to a, b, c) for Katzen" in created.stderr
    assert checked("d/catalog.db", created.stdout.strip(), "write").collections == ("a", "b", "c")
    run("create", "alle", "--data", "d")
    assert "a, b, c" in run("list", "--data", "d").stdout
    rows = json.loads(run("list", "--json", "--data", "d").stdout)
    assert [row["collections"] for row in rows] == [["a", "b", "c"], None]


@pytest.mark.parametrize("names", [",", "größe", "a;b", "a b"])
def test_invalid_collections_are_reported(run, names):
    assert "collection" in run("create", "x", "--collections", names, code=1).stderr
    assert not json.loads(run("list", "--json").stdout)


def test_key_expires_after_hours_days_or_weeks(run):
    for word, hours in (("12h", 12), ("90d", 90 * 24), ("4w", 4 * 7 * 24)):
        created = json.loads(
            run(
                "create", "x", "--scope", "admin", "--expires", word, "--json", "--data", "d"
            ).stdout
        )
        left = datetime.fromisoformat(created["expires"]) - datetime.now(UTC)
        assert timedelta(hours=hours, minutes=-5) < left <= timedelta(hours=hours)
        assert checked("d/catalog.db", created["secret"], "admin").id == created["id"]
    listed = json.loads(run("list", "--json", "--data", "d").stdout)
    assert [key["scopes"] for key in listed] == [["admin"]] * 3
    assert all("secret" not in key and "digest" not in key for key in listed)


@pytest.mark.parametrize("word", ["90", "d", "0d", "-1d", "1y", "1.5d", "99999d", "９d"])
def test_invalid_duration_is_a_usage_error(run, word):
    assert (
        "is not a time such as 12h, 90d or 4w"
        in run("create", "x", "--expires", word, code=2).stderr
    )


def test_invalid_names_and_scopes_are_reported(run):
    assert "printable characters" in run("create", "a\x1b[2J", code=1).stderr
    run("create", "a", "--scope", "root", code=2)
    run("revoke", code=2)


def test_listing_and_revoking_create_no_files(run, tmp_path):
    for words in (("list",), ("revoke", "0" * 12)):
        assert "no service in imgsearch-data" in run(*words, code=1).stderr
    assert list(tmp_path.iterdir()) == []


def test_catalog_of_the_environment_has_precedence(run, tmp_path, monkeypatch):
    monkeypatch.setenv("IMGSEARCH_CATALOG", str(tmp_path / "anderswo.db"))
    secret = run("create", "x", "--scope", "write").stdout.strip()
    assert checked(tmp_path / "anderswo.db", secret, "write").name == "x"
    assert not (tmp_path / "imgsearch-data").exists()
