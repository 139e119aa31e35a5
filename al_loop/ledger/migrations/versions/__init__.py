"""One Alembic script for each schema of the ledger; ``revision`` is the schema's number."""
