"""Readers of tables and object lists that people bring, and helpers for tables.

- ``object_tables``: CSV tables of measured objects
- ``nested``: nested mappings as flat columns
"""
