"""Adds the api_keys column `collections`: names as JSON, null without a limit."""

import sqlalchemy as sa
from alembic import op

from imgsearch.catalog.tables import LONG

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add the column, unless an interrupted upgrade added it."""
    known = {column["name"] for column in sa.inspect(op.get_bind()).get_columns("api_keys")}
    if "collections" not in known:
        op.add_column("api_keys", sa.Column("collections", LONG))


def downgrade() -> None:
    """Drop the column, and delete limited keys, which would be valid for all collections."""
    keys = sa.table("api_keys", sa.column("collections"))
    unlimited = keys.c.collections.is_(None) | (keys.c.collections == "null")
    op.execute(sa.delete(keys).where(sa.not_(unlimited)))
    op.drop_column("api_keys", "collections")
