"""Schema 5: censored values, details and replicates of candidates, retries, changes, and the lease of the driver."""

import sqlalchemy as sa
from alembic import op

revision = "5"
down_revision = "4"


def upgrade() -> None:
    """Add the columns and tables, and let an object be measured several times at one fidelity."""
    op.add_column("evaluations", sa.Column("censored", sa.Text))
    unique = sa.inspect(op.get_bind()).get_unique_constraints("candidates")
    names = {tuple(constraint["column_names"]): constraint["name"] for constraint in unique}
    # SQLite's constraints have no names so far; the convention gives them some to drop them by
    convention = {"uq": "uq_%(table_name)s_%(column_0_name)s"}
    with op.batch_alter_table("candidates", naming_convention=convention) as table:
        if names["round", "position"] is None:
            table.drop_constraint("uq_candidates_round", type_="unique")
            table.create_unique_constraint("candidates_round_position_key", ["round", "position"])
        table.add_column(sa.Column("details", sa.Text))
        table.add_column(sa.Column("replicate", sa.Integer, nullable=False, server_default="0"))
        table.drop_constraint(names["object_sha256", "fidelity"] or "uq_candidates_object_sha256", type_="unique")
        table.create_unique_constraint(
            "candidates_object_sha256_fidelity_replicate_key", ["object_sha256", "fidelity", "replicate"]
        )
    op.create_table(
        "void_attempts",
        sa.Column("candidate_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("recorded", sa.String(32), nullable=False),
        sa.ForeignKeyConstraint(["candidate_id", "number"], ["attempts.candidate_id", "attempts.number"]),
    )
    op.create_table(
        "retries",
        sa.Column("candidate_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("revision", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("requested_by", sa.Text, nullable=False),
        sa.Column("requested", sa.String(32), nullable=False),
        sa.ForeignKeyConstraint(["candidate_id", "revision"], ["evaluations.candidate_id", "evaluations.revision"]),
    )
    op.create_table(
        "changes",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("round", sa.Integer, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("old", sa.Text),
        sa.Column("new", sa.Text),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("changed_by", sa.Text, nullable=False),
        sa.Column("changed", sa.String(32), nullable=False),
    )
    op.create_table(
        "leases",
        sa.Column("id", sa.Integer, sa.CheckConstraint("id = 1"), primary_key=True, autoincrement=False),
        sa.Column("token", sa.Integer, nullable=False),
        sa.Column("owner", sa.String(32), nullable=False),
        sa.Column("host", sa.Text, nullable=False),
        sa.Column("pid", sa.Integer, nullable=False),
        sa.Column("since", sa.String(32), nullable=False),
        sa.Column("heartbeat", sa.String(32), nullable=False),
        sa.Column("released", sa.String(32)),
    )
