"""Adds the jobs columns `changed`, `renamed` and `deleted`: the numbers of images of a sync."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
_NAMES = ("changed", "renamed", "deleted")


def upgrade() -> None:
    """Add the columns, except those that an interrupted upgrade added."""
    known = {column["name"] for column in sa.inspect(op.get_bind()).get_columns("jobs")}
    for name in _NAMES:
        if name not in known:
            op.add_column(
                "jobs", sa.Column(name, sa.BigInteger, nullable=False, server_default="0")
            )


def downgrade() -> None:
    """Drop the columns."""
    for name in _NAMES:
        op.drop_column("jobs", name)
