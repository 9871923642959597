"""Adds the jobs column `result`: the findings of a job as JSON; null for jobs from before."""

import sqlalchemy as sa
from alembic import op

from imgsearch.catalog.tables import LONG

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add the column, unless an interrupted upgrade added it."""
    known = {column["name"] for column in sa.inspect(op.get_bind()).get_columns("jobs")}
    if "result" not in known:
        op.add_column("jobs", sa.Column("result", LONG))


def downgrade() -> None:
    """Drop the column."""
    op.drop_column("jobs", "result")
