"""Writes statistics about entries for SQLite's query planner.

Without statistics, as in a new file, SQLite assumes that few entries have the same state. But
nearly all are ready, so SQLite would read all of them to find the ten hits of a search. MySQL
updates its statistics itself. The numbers describe a large catalog with two collections;
``ANALYZE`` replaces them. Source: https://sqlite.org/fileformat2.html#stat1tab.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

ROWS = 100_000
SHARED = {  # average number of entries with equal values in the first column, the first two, …
    "sqlite_autoindex_entries_1": (1,),
    "entries_content": (2, 1, 1, 1),
    "entries_state": (50_000, 2, 1),
    "entries_created": (1, 1),
    "entries_collection_created": (50_000, 1, 1),
    "entries_collection_name": (50_000, 2, 1),
    "entries_collection_size": (50_000, 2, 1),
    "entries_collection_label": (50_000, 1_000, 1),
    "entries_collection_label_created": (50_000, 1_000, 1, 1),
}


def upgrade() -> None:
    """Write the statistics, unless the file has statistics."""
    bind = op.get_bind()
    if bind.dialect.name != "sqlite":
        return
    bind.execute(sa.text("ANALYZE sqlite_master"))  # creates the statistics table
    known = "SELECT count(*) FROM sqlite_stat1 WHERE tbl = 'entries'"
    if not bind.execute(sa.text(known)).scalar_one():
        statement = sa.text("INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES ('entries', :i, :s)")
        for index, shared in SHARED.items():
            figures = " ".join(map(str, (ROWS, *shared)))
            bind.execute(statement, {"i": index, "s": figures})
        bind.execute(sa.text("ANALYZE sqlite_master"))  # loads them into this connection


def downgrade() -> None:
    """Delete the statistics."""
    bind = op.get_bind()
    if bind.dialect.name == "sqlite":
        bind.execute(sa.text("DELETE FROM sqlite_stat1 WHERE tbl = 'entries'"))
