"""Schema 6: a checksum on every row, and the chain of them."""

import sqlalchemy as sa
from alembic import op

from al_loop.ledger import seals

revision = "6"
down_revision = "5"

_TABLES = (
    "campaign", "sessions", "rounds", "candidates", "attempts", "void_attempts", "evaluations", "retries", "decisions",
    "round_reports", "changes",
)  # fmt: skip


def upgrade() -> None:
    """Add the columns and the table of the chain, and compute the checksums of all rows."""
    for table in _TABLES:
        op.add_column(table, sa.Column("entry", sa.Integer))
        op.add_column(table, sa.Column("seal", sa.String(64)))
        op.create_index(f"{table}_entry_key", table, ["entry"], unique=True)
    op.create_table(
        "links",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("table_name", sa.Text, nullable=False),
        sa.Column("last", sa.Integer, nullable=False),
        sa.Column("seal", sa.String(64), nullable=False),
    )
    seals.seal_all(op.get_bind())
