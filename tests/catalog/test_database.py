"""Catalogs in missing, empty, outdated, newer, busy and incomplete databases."""

import os
import socket
import stat
import threading
import time
import traceback

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from imgsearch.catalog import Catalog, KeyRow, entries, upgrade
from imgsearch.catalog.tables import METADATA
from imgsearch.errors import CatalogError, CatalogOutdated, ConfigError
from tests.catalog.places import entry

SECRET = "s3cr%t/:@ü"  # noqa: S105


def differences(place):
    """Return the changes that Alembic would make to get the expected tables."""
    with place.opened() as database:

        def compared(connection):
            options = {"version_table": upgrade.VERSION_TABLE}
            return compare_metadata(MigrationContext.configure(connection, opts=options), METADATA)

        return database.read(compared)


def downgraded(connection, to):
    """Undo the migrations after the version `to`."""
    config = upgrade._config()
    config.attributes.update(connection=connection, version_table=upgrade.VERSION_TABLE)
    command.downgrade(config, to)


def test_empty_database_gets_the_tables(fresh):
    place = fresh()
    with place.open() as catalog:
        assert catalog.count() == 0
        catalog.begin([entry(1)])
    assert differences(place) == []
    with place.open() as catalog:
        assert catalog.get("id-00001").state == "pending"
        catalog.ping()


def test_first_version_is_migrated(fresh):
    place = fresh()
    with place.opened() as database:
        database.upgrade(to="0001")
        database.write(
            lambda connection: connection.execute(
                sa.text("INSERT INTO contents VALUES (:content)"), {"content": entry(1).content}
            )
        )
    with place.open() as catalog:
        catalog.begin([entry(1)])
        assert catalog.count() == 1
    assert differences(place) == []


def test_keys_of_older_catalogs_have_no_limit(fresh):
    place = fresh()
    place.open().close()
    with place.opened() as database:
        insert = "INSERT INTO api_keys (id, digest, scopes, name, created) VALUES "
        row = "('k', 'aa', '[\"read\"]', 'alt', '2026-01-01 00:00:00')"
        database.write(lambda connection: connection.execute(sa.text(insert + row)))
    with place.open() as catalog:
        assert catalog.key("k").collections is None


def test_downgrade_deletes_limited_keys(fresh):
    """Without the column, such a key would be valid for all collections."""
    place = fresh()
    with place.open() as catalog:
        for id_, collections in (("alle", None), ("eine", ("a",)), ("keine", ())):
            catalog.save_key(KeyRow(id_, "aa", ("read",), collections=collections))
    with place.opened() as database:
        database.write(lambda connection: downgraded(connection, "0005"))
        left = database.read(
            lambda connection: (
                connection.execute(sa.text("SELECT id FROM api_keys")).scalars().all()
            )
        )
    assert left == ["alle"]


def test_incomplete_tables_are_completed(fresh):
    # MySQL commits each statement, so a migration that is killed leaves some of them
    place = fresh()
    place.open().close()
    with place.opened() as database:

        def undone(connection):
            for statement in (
                f"DROP TABLE {upgrade.VERSION_TABLE}",
                "DROP TABLE api_keys",
                "DROP TABLE job_failures",
            ):
                connection.execute(sa.text(statement))
            index = sa.Index("entries_state")
            index.table = METADATA.tables["entries"]
            connection.execute(sa.schema.DropIndex(index))

        database.write(undone)
    assert differences(place) != []
    place.open().close()
    assert differences(place) == []


def test_newer_database_raises(fresh):
    place = fresh()
    place.open().close()
    newer = sa.text(f"UPDATE {upgrade.VERSION_TABLE} SET version_num = '9999'")  # noqa: S608
    with place.opened() as database:
        database.write(lambda connection: connection.execute(newer))
    with pytest.raises(CatalogOutdated, match="version 9999"):
        place.open()


@pytest.mark.long
def test_new_database_can_be_opened_concurrently(fresh):
    place = fresh()
    others = [place.run("catalog.begin([entry(int(sys.stdin.readline()))])") for _ in range(2)]
    for number, other in enumerate(others):
        other.stdin.write(f"{number}\n")
        other.stdin.flush()
    failures = []

    def opened(number):
        try:
            with place.open(timeout=60) as catalog:
                catalog.begin([entry(number)])
        except CatalogError as error:
            failures.append(error)

    threads = [threading.Thread(target=opened, args=(number,)) for number in (2, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for other in others:
        other.communicate()
    assert [other.returncode for other in others] == [0, 0]
    assert failures == []
    with place.open() as catalog:
        assert catalog.count() == 4


def test_sqlite_uses_wal_and_foreign_keys(tmp_path):
    path = tmp_path / "a folder" / "c.db"
    with Catalog(f"sqlite://{path}") as catalog:
        catalog.begin([entry(1)])
        database = catalog._database
        names = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")

        def pragmas(connection):
            return [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in names]

        assert database.read(pragmas) == ["wal", 1, 1, 10_000]  # 1: NORMAL
    assert path.is_file()


@pytest.mark.parametrize("form", ["{}", "sqlite://{}", "sqlite:////{}"])
def test_sqlite_file_has_several_url_forms(tmp_path, form, monkeypatch):
    path = tmp_path / "c.db"
    with Catalog(form.format(path)) as catalog:
        catalog.begin([entry(1)])
    monkeypatch.chdir(tmp_path)
    with Catalog("c.db") as catalog:
        assert catalog.count() == 1
        assert repr(catalog) == "Catalog('c.db')"


def test_missing_folder_raises(tmp_path):
    with pytest.raises(ConfigError, match="its folder cannot be created"):
        Catalog(str(tmp_path / "a" / "b" / "c.db"))


def test_other_files_raise(tmp_path):
    path = tmp_path / "photo.db"
    path.write_bytes(b"\xff\xd8\xff no database at all" * 100)
    with pytest.raises(CatalogError, match="not a database"):
        Catalog(str(path))
    with pytest.raises(CatalogError, match="unable to open"):
        Catalog(str(tmp_path))


@pytest.mark.parametrize(
    "url",
    [
        "",
        ":memory:",
        "sqlite://",
        "postgresql://user@host/name",
        "mysql://host/name",
        "mysql://user@host",
        "mysql://user@host:x/name",
        "mysql://user@host:99999/name",
        "mysql://user@[host/name",
        "mysql://user@host/name?charset=latin1",
        f"mysql://user:{SECRET}@host/name",
    ],
)
def test_invalid_url_raises(url):
    with pytest.raises(ConfigError, match="the catalog") as caught:
        Catalog(url, password=SECRET)
    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_timeout_must_be_positive():
    with pytest.raises(ConfigError, match="timeout"):
        Catalog("c.db", timeout=0)


def closed_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def test_missing_server_raises():
    pytest.importorskip("pymysql")
    with pytest.raises(CatalogError, match="cannot be reached") as caught:
        Catalog(f"mysql://user@127.0.0.1:{closed_port()}/name", password=SECRET, timeout=5)
    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_silent_server_times_out():
    pytest.importorskip("pymysql")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        started = time.monotonic()
        with pytest.raises(CatalogError, match="reached|lost"):
            Catalog(f"mysql://user@127.0.0.1:{listener.getsockname()[1]}/name", timeout=0.5)
        assert time.monotonic() - started < 5


def test_wrong_password_raises_without_showing_it(mariadb):
    with pytest.raises(CatalogError, match="rejects the user or the password") as caught:
        Catalog(mariadb.url("imgsearch_tests"), password=SECRET)
    assert SECRET not in "".join(traceback.format_exception(caught.value))
    with pytest.raises(CatalogError, match="does not exist on the server"):
        Catalog(mariadb.url("imgsearch_tests") + "_not", password=mariadb.password)


def test_errors_contain_no_written_values(place):
    with place.opened() as database:
        row = {"id": SECRET, "digest": SECRET}
        statement = METADATA.tables["api_keys"].insert()
        with pytest.raises(CatalogError) as caught:
            database.write(lambda connection: connection.execute(statement, row))
    assert SECRET not in "".join(traceback.format_exception(caught.value))
    assert repr(database).count(SECRET) == 0


def test_closed_catalog_raises(place):
    catalog = place.open()
    catalog.close()
    catalog.close()
    with pytest.raises(CatalogError, match="is closed"):
        catalog.count()


def test_connection_recovers_after_a_server_restart(mariadb):
    with Catalog(mariadb.url("imgsearch_tests"), password=mariadb.password) as catalog:
        catalog.count()
        mariadb.restart()
        catalog.ping()
        assert catalog.count() >= 0


def test_blocked_write_times_out(place):
    holding, done = threading.Event(), threading.Event()

    def hold(connection):
        entries.begin(connection, [entry(1)])
        holding.set()
        done.wait(60)

    with place.opened() as slow, place.open(timeout=1) as catalog:
        thread = threading.Thread(target=slow.write, args=(hold,))
        thread.start()
        try:
            assert holding.wait(60)
            started = time.monotonic()
            with pytest.raises(CatalogError, match="locked|held up"):
                catalog.begin([entry(1)])
            assert time.monotonic() - started < 10
            assert catalog.count() == 0  # reads do not wait for writers
        finally:
            done.set()
            thread.join()
        assert catalog.begin([entry(1)])[0].id == "id-00001"


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
def test_sqlite_file_is_private_in_a_public_folder(tmp_path):
    tmp_path.chmod(0o755)
    with Catalog(str(tmp_path / "Katalog ü.db")) as catalog:
        catalog.begin([entry(1)])
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()}
    assert set(modes.values()) == {0o600}, modes
    assert "Katalog ü.db-wal" in modes
