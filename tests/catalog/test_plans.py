"""SQLite finds entries by selective indexes: content, original or id, never state."""

import sqlite3
from contextlib import closing, contextmanager

import pytest
import sqlalchemy as sa

from imgsearch.catalog import Catalog
from tests.catalog.places import Place, content, entry

IDS = [f"id-{number:05}" for number in range(40)]
CONTENTS = [content(number) for number in range(40)]


@pytest.fixture
def file(tmp_path):
    return tmp_path / "Katalog ü.db"


@pytest.fixture
def catalog(file):
    with Catalog(str(file)) as catalog:
        catalog.begin([entry(number) for number in range(3_000)])
        yield catalog


def test_content_is_found_by_its_index(catalog, file):
    with recorded() as statements:
        catalog.of_contents("photos", CONTENTS[:10])
        catalog.referenced(CONTENTS)
        catalog.find(IDS)
        catalog.get(IDS[0])
    for plan in plans(file, statements):
        selective = (
            "entries_content (content=?",
            "entries_original (original=?",
            "autoindex_entries_1 (id=?)",
        )
        assert any(index in plan for index in selective), plan


def test_writes_do_not_use_the_state_index(catalog, file):
    with recorded() as statements:
        catalog.begin([entry(number) for number in range(40)])
        catalog.ready(IDS)
        catalog.failed(dict.fromkeys(IDS, "x"))
        catalog.update(IDS[0], label="Katze")
        catalog.mark_deleting(IDS)
        catalog.forget(IDS)
    query_plans = plans(file, statements)
    assert len(query_plans) > 8
    for plan in query_plans:
        assert "entries_state" not in plan
        assert "SCAN entries" not in plan


def test_unfinished_entries_are_found_by_the_state_index(catalog, file):
    with recorded() as statements:
        assert sum(map(len, catalog.unfinished())) == 3_000
    for plan in plans(file, statements):
        assert "entries_state (state=?" in plan
        assert "TEMP B-TREE" not in plan


@pytest.mark.parametrize("options", [{}, {"label": "Katze"}, {"order": "name"}, {"order": "size"}])
def test_pages_are_read_in_index_order(catalog, file, options):
    with recorded() as statements:
        page = catalog.page(collection="photos", limit=10, **options)
        catalog.page(collection="photos", limit=10, after=page.next, **options)
    for plan in plans(file, statements):
        assert "entries_collection_" in plan
        assert "TEMP B-TREE" not in plan


def test_migrated_catalog_has_the_indexes(file):
    place = Place(str(file), None)
    with place.opened() as database:
        database.upgrade(to="0001")
    with place.open() as catalog:
        catalog.begin([entry(number) for number in range(100)])
        with recorded() as statements:
            catalog.of_contents("photos", CONTENTS)
    for plan in plans(file, statements):
        assert "entries_content (content=?" in plan


@contextmanager
def recorded():
    """Record the SQL statements of all databases, with their values."""
    statements = []

    def noted(connection, cursor, statement, values, context, many):
        statements.append((statement, values[0] if many else values))

    sa.event.listen(sa.Engine, "before_cursor_execute", noted)
    try:
        yield statements
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", noted)


def plans(file, statements):
    """Return SQLite's query plans of the statements on entries."""
    with closing(sqlite3.connect(file)) as connection:
        lines = [
            "; ".join(row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {words}", values))
            for words, values in statements
            if " entries" in words and not words.startswith("INSERT")
        ]
    assert lines
    return lines
