"""Adds the videos of frames: three columns of `entries`, and `jobs.videos`."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
_INDEXES = {
    "entries_video": ["video", "collection", "id"],
    "entries_original": ["original", "state"],
}


def upgrade() -> None:
    """Add the columns and indexes, unless an interrupted upgrade added them."""
    inspector = sa.inspect(op.get_bind())
    known = {column["name"] for column in inspector.get_columns("entries")}
    for name in ("video", "original"):
        if name not in known:
            op.add_column(
                "entries", sa.Column(name, sa.String(64), nullable=False, server_default="")
            )
    if "seconds" not in known:
        op.add_column(
            "entries", sa.Column("seconds", sa.Double(), nullable=False, server_default="0")
        )
    indexes = {index["name"] for index in inspector.get_indexes("entries")}
    for name, columns in _INDEXES.items():
        if name not in indexes:
            op.create_index(name, "entries", columns)
    if "videos" not in {column["name"] for column in inspector.get_columns("jobs")}:
        op.add_column(
            "jobs", sa.Column("videos", sa.BigInteger(), nullable=False, server_default="0")
        )


def downgrade() -> None:
    """Drop the columns and indexes."""
    op.drop_column("jobs", "videos")
    for name in _INDEXES:
        op.drop_index(name, "entries")
    for name in ("seconds", "original", "video"):
        op.drop_column("entries", name)
