"""imgsearch keys: the secret once, on standard output alone."""

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


def test_a_key_is_made_used_listed_and_revoked(run, tmp_path):
    made = run("create", "Käfer 犬")
    secret = made.stdout.strip()
    assert made.stdout == f"{secret}\n"
    assert secret not in made.stderr
    row = checked(tmp_path / "imgsearch-data/catalog.db", secret, "read")
    with pytest.raises(ScopeMissing):
        checked(tmp_path / "imgsearch-data/catalog.db", secret, "write")
    listed = run("list").stdout
    for word in (row.id, "Käfer 犬", "read", f"{row.last_used:%Y-%m-%d %H:%M}", "never"):
        assert word in listed
    assert secret[20:] not in listed
    assert row.digest not in listed
    assert f"key {row.id} is gone" in run("revoke", row.id).stderr
    with pytest.raises(AccessDenied):
        checked(tmp_path / "imgsearch-data/catalog.db", secret, "read")
    assert "there is no key" in run("revoke", row.id, code=1).stderr


def test_a_key_expires_after_hours_days_or_weeks(run):
    for word, hours in (("12h", 12), ("90d", 90 * 24), ("4w", 4 * 7 * 24)):
        made = json.loads(
            run(
                "create", "x", "--scope", "admin", "--expires", word, "--json", "--data", "d"
            ).stdout
        )
        left = datetime.fromisoformat(made["expires"]) - datetime.now(UTC)
        assert timedelta(hours=hours, minutes=-5) < left <= timedelta(hours=hours)
        assert checked("d/catalog.db", made["secret"], "admin").id == made["id"]
    told = json.loads(run("list", "--json", "--data", "d").stdout)
    assert [key["scopes"] for key in told] == [["admin"]] * 3
    assert all("secret" not in key and "digest" not in key for key in told)


@pytest.mark.parametrize("word", ["90", "d", "0d", "-1d", "1y", "1.5d", "99999d", "９d"])
def test_what_is_no_duration_is_a_wrong_usage(run, word):
    assert "is not as 12h, 90d or 4w" in run("create", "x", "--expires", word, code=2).stderr


def test_wrong_names_and_scopes_are_told(run):
    assert "printable letters" in run("create", "a\x1b[2J", code=1).stderr
    run("create", "a", "--scope", "root", code=2)
    run("revoke", code=2)


def test_nothing_is_made_by_looking(run, tmp_path):
    for words in (("list",), ("revoke", "0" * 12)):
        assert "there is no service in imgsearch-data" in run(*words, code=1).stderr
    assert list(tmp_path.iterdir()) == []


def test_the_catalogue_of_the_environment_goes_first(run, tmp_path, monkeypatch):
    monkeypatch.setenv("IMGSEARCH_CATALOG", str(tmp_path / "anderswo.db"))
    secret = run("create", "x", "--scope", "write").stdout.strip()
    assert checked(tmp_path / "anderswo.db", secret, "write").name == "x"
    assert not (tmp_path / "imgsearch-data").exists()
