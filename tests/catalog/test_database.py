"""What a database may do to a catalogue: be absent, new, newer, busy, half made."""

import os
import socket
import stat
import threading
import time
import traceback

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from imgsearch.catalog import Catalog, entries, upgrade
from imgsearch.catalog.tables import METADATA
from imgsearch.errors import CatalogError, CatalogOutdated, ConfigError
from tests.catalog.places import entry

SECRET = "s3cr%t/:@ü"  # noqa: S105


def differences(place):
    """Return what Alembic would change to have the tables that queries expect."""
    with place.opened() as database:

        def compared(connection):
            options = {"version_table": upgrade.VERSION_TABLE}
            return compare_metadata(MigrationContext.configure(connection, opts=options), METADATA)

        return database.read(compared)


def test_an_empty_database_gets_the_tables(fresh):
    place = fresh()
    with place.open() as catalog:
        assert catalog.count() == 0
        catalog.begin([entry(1)])
    assert differences(place) == []
    with place.open() as catalog:
        assert catalog.get("id-00001").state == "pending"
        catalog.ping()


def test_the_first_version_is_brought_up_to_date(fresh):
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


def test_tables_that_were_half_made_are_completed(fresh):
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


def test_a_newer_database_is_told(fresh):
    place = fresh()
    place.open().close()
    newer = sa.text(f"UPDATE {upgrade.VERSION_TABLE} SET version_num = '9999'")  # noqa: S608
    with place.opened() as database:
        database.write(lambda connection: connection.execute(newer))
    with pytest.raises(CatalogOutdated, match="version 9999"):
        place.open()


def test_many_open_a_new_database_at_once(fresh):
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


def test_sqlite_writes_ahead_and_holds_references(tmp_path):
    path = tmp_path / "a folder" / "c.db"
    with Catalog(f"sqlite://{path}") as catalog:
        catalog.begin([entry(1)])
        database = catalog._database
        asked = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")

        def told(connection):
            return [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in asked]

        assert database.read(told) == ["wal", 1, 1, 10_000]  # 1: NORMAL
    assert path.is_file()


@pytest.mark.parametrize("form", ["{}", "sqlite://{}", "sqlite:////{}"])
def test_a_file_has_several_names(tmp_path, form, monkeypatch):
    path = tmp_path / "c.db"
    with Catalog(form.format(path)) as catalog:
        catalog.begin([entry(1)])
    monkeypatch.chdir(tmp_path)
    with Catalog("c.db") as catalog:
        assert catalog.count() == 1
        assert repr(catalog) == "Catalog('c.db')"


def test_no_file_is_made_far_from_what_is_there(tmp_path):
    with pytest.raises(ConfigError, match="no folder"):
        Catalog(str(tmp_path / "a" / "b" / "c.db"))


def test_what_is_no_catalogue_is_told(tmp_path):
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
def test_an_url_that_is_none_is_told(url):
    with pytest.raises(ConfigError, match="catalogue") as caught:
        Catalog(url, password=SECRET)
    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_a_timeout_is_positive():
    with pytest.raises(ConfigError, match="timeout"):
        Catalog("c.db", timeout=0)


def closed_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def test_a_server_that_is_not_there_is_told():
    pytest.importorskip("pymysql")
    with pytest.raises(CatalogError, match="cannot be reached") as caught:
        Catalog(f"mysql://user@127.0.0.1:{closed_port()}/name", password=SECRET, timeout=5)
    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_a_server_that_says_nothing_is_told_in_time():
    pytest.importorskip("pymysql")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        started = time.monotonic()
        with pytest.raises(CatalogError, match="reached|lost"):
            Catalog(f"mysql://user@127.0.0.1:{listener.getsockname()[1]}/name", timeout=0.5)
        assert time.monotonic() - started < 5


def test_a_wrong_password_is_told_without_it(mariadb):
    with pytest.raises(CatalogError, match="refuses the user or the password") as caught:
        Catalog(mariadb.url("imgsearch_tests"), password=SECRET)
    assert SECRET not in "".join(traceback.format_exception(caught.value))
    with pytest.raises(CatalogError, match="no such database"):
        Catalog(mariadb.url("imgsearch_tests") + "_not", password=mariadb.password)


def test_errors_hold_nothing_of_what_was_written(place):
    with place.opened() as database:
        row = {"id": SECRET, "digest": SECRET}
        statement = METADATA.tables["api_keys"].insert()
        with pytest.raises(CatalogError) as caught:
            database.write(lambda connection: connection.execute(statement, row))
    assert SECRET not in "".join(traceback.format_exception(caught.value))
    assert repr(database).count(SECRET) == 0


def test_a_catalogue_that_was_closed_says_so(place):
    catalog = place.open()
    catalog.close()
    catalog.close()
    with pytest.raises(CatalogError, match="is closed"):
        catalog.count()


def test_a_server_that_was_restarted_is_found_again(mariadb):
    with Catalog(mariadb.url("imgsearch_tests"), password=mariadb.password) as catalog:
        catalog.count()
        mariadb.restart()
        catalog.ping()
        assert catalog.count() >= 0


def test_a_writer_that_holds_on_is_told_in_time(place):
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
            assert catalog.count() == 0  # reading waits for nobody
        finally:
            done.set()
            thread.join()
        assert catalog.begin([entry(1)])[0].id == "id-00001"


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
def test_a_sqlite_file_is_private_in_a_public_folder(tmp_path):
    tmp_path.chmod(0o755)
    with Catalog(str(tmp_path / "Katalog ü.db")) as catalog:
        catalog.begin([entry(1)])
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()}
    assert set(modes.values()) == {0o600}, modes
    assert "Katalog ü.db-wal" in modes
