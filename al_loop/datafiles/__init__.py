"""Readers of tables and object lists that people bring."""
