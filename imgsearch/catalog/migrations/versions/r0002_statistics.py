"""What SQLite is to take for granted of the entries until it is told to count them.

It chooses its way to a row by such figures, and has none of a new file. It then guesses that few
entries share a state, while nearly all of them are ready, and reads them all to find the ten of a
search's hits. MySQL keeps count by itself. The figures are of a large catalogue in two collections;
``ANALYZE`` replaces them. Source: https://sqlite.org/fileformat2.html#stat1tab.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

ROWS = 100_000
SHARED = {  # entries that have the index's first columns in common: the first, the first two, …
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
    """Write them down, where nobody has counted yet."""
    bind = op.get_bind()
    if bind.dialect.name != "sqlite":
        return
    bind.execute(sa.text("ANALYZE sqlite_master"))  # makes the table that the figures are in
    known = "SELECT count(*) FROM sqlite_stat1 WHERE tbl = 'entries'"
    if not bind.execute(sa.text(known)).scalar_one():
        statement = sa.text("INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES ('entries', :i, :s)")
        for index, shared in SHARED.items():
            figures = " ".join(map(str, (ROWS, *shared)))
            bind.execute(statement, {"i": index, "s": figures})
        bind.execute(sa.text("ANALYZE sqlite_master"))  # has this connection read them


def downgrade() -> None:
    """Forget them."""
    bind = op.get_bind()
    if bind.dialect.name == "sqlite":
        bind.execute(sa.text("DELETE FROM sqlite_stat1 WHERE tbl = 'entries'"))
