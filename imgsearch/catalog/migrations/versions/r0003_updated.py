"""Adds the jobs column `updated`: the number of images whose label a job changed."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the column, unless an interrupted upgrade added it."""
    known = {column["name"] for column in sa.inspect(op.get_bind()).get_columns("jobs")}
    if "updated" not in known:
        column = sa.Column("updated", sa.BigInteger, nullable=False, server_default="0")
        op.add_column("jobs", column)


def downgrade() -> None:
    """Drop the column."""
    op.drop_column("jobs", "updated")
