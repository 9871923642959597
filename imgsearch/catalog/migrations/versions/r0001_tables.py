"""Creates the tables for entries, contents, jobs, job failures and API keys.

Only missing tables and indexes are created. MySQL commits each of them separately, so an
interrupted migration must be able to continue.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0001"
down_revision = None

LONG = sa.Text().with_variant(mysql.LONGTEXT(), "mysql")
TIME = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql")
SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create the tables."""
    metadata = sa.MetaData()
    _contents(metadata)
    _entries(metadata)
    _jobs(metadata)
    _keys(metadata)
    bind = op.get_bind()
    existing = sa.inspect(bind)
    for table in metadata.sorted_tables:
        table.dialect_options["mysql"].update(_binary(bind.dialect))
        if existing.has_table(table.name):
            known = {index["name"] for index in existing.get_indexes(table.name)}
            for index in table.indexes:
                if index.name not in known:
                    index.create(bind)
        else:
            table.create(bind)


def downgrade() -> None:
    """Raise an error, because a downgrade must not delete a catalog.

    Raises:
        NotImplementedError: always.
    """
    raise NotImplementedError("the first migration cannot be undone. Delete the database instead.")


def _binary(dialect: sa.Dialect) -> dict[str, str]:
    """Return MySQL table options that make text comparison bytewise.

    MariaDB and MySQL have different names for the collation that neither folds case nor trims
    whitespace.
    """
    maria = getattr(dialect, "is_mariadb", False)
    collation = "utf8mb4_nopad_bin" if maria else "utf8mb4_0900_bin"
    return {"charset": "utf8mb4", "collate": collation, "engine": "InnoDB"}


def _contents(metadata: sa.MetaData) -> None:
    sa.Table("contents", metadata, sa.Column("content", sa.String(64), primary_key=True))


def _entries(metadata: sa.MetaData) -> None:
    sa.Table(
        "entries",
        metadata,
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("collection", sa.String(64), nullable=False),
        sa.Column("content", sa.String(64), sa.ForeignKey("contents.content"), nullable=False),
        sa.Column("source", sa.String(16), nullable=False),
        sa.Column("name", sa.String(512), nullable=False),
        sa.Column("folded", LONG, nullable=False),
        sa.Column("place", LONG, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("width", sa.BigInteger, nullable=False),
        sa.Column("height", sa.BigInteger, nullable=False),
        sa.Column("format", sa.String(32), nullable=False),
        sa.Column("label", sa.String(512), nullable=False),
        sa.Column("fields", LONG, nullable=False),
        sa.Column("encoder", sa.String(512), nullable=False),
        sa.Column("stored", sa.Boolean, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("error", LONG, nullable=False),
        sa.Column("created", TIME, nullable=False),
        sa.Column("updated", TIME, nullable=False),
        sa.Index("entries_content", "content", "collection", "created", "id"),
        sa.Index("entries_state", "state", "updated", "id"),
        sa.Index("entries_created", "created", "id"),
        sa.Index("entries_collection_created", "collection", "created", "id"),
        sa.Index("entries_collection_name", "collection", "name", "id"),
        sa.Index("entries_collection_size", "collection", "size", "id"),
        sa.Index("entries_collection_label", "collection", "label", "id"),
        sa.Index("entries_collection_label_created", "collection", "label", "created", "id"),
    )


def _jobs(metadata: sa.MetaData) -> None:
    stages = ("found", "decoded", "embedded", "inserted", "searchable", "indexed")
    counters = (*stages, "skipped", "failed")
    sa.Table(
        "jobs",
        metadata,
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("collection", sa.String(64), nullable=False),
        sa.Column("request", LONG, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in counters),
        sa.Column("error", LONG, nullable=False),
        sa.Column("created", TIME, nullable=False),
        sa.Column("started", TIME),
        sa.Column("finished", TIME),
        sa.Index("jobs_created", "created", "id"),
        sa.Index("jobs_state", "state", "created", "id"),
    )
    sa.Table(
        "job_failures",
        metadata,
        sa.Column("serial", SERIAL, primary_key=True),
        sa.Column(
            "job", sa.String(64), sa.ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False
        ),
        sa.Column("item", LONG, nullable=False),
        sa.Column("stage", sa.String(32), nullable=False),
        sa.Column("error", sa.String(64), nullable=False),
        sa.Column("reason", LONG, nullable=False),
        sa.Index("job_failures_job", "job", "serial"),
    )


def _keys(metadata: sa.MetaData) -> None:
    sa.Table(
        "api_keys",
        metadata,
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("digest", sa.String(255), nullable=False),
        sa.Column("scopes", LONG, nullable=False),
        sa.Column("name", sa.String(512), nullable=False),
        sa.Column("created", TIME, nullable=False),
        sa.Column("last_used", TIME),
        sa.Column("expires", TIME),
    )
