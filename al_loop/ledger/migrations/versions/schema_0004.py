"""Schema 4, the first that was released: new ledgers are created with the tables of ``al_loop.ledger.schema``."""

revision = "4"
down_revision = None


def upgrade() -> None:
    """Raise: there is no earlier schema to upgrade from."""
    raise NotImplementedError("schema 4 is the oldest")
