"""Readers of the tables and lists of objects that people bring, and helpers for nested contents.

- ``text_files``: text from plain and compressed files.
- ``delimited``: cells separated by commas, semicolons or tabs, under a header.
- ``object_tables``: tables of objects with measured values or other facts, by column.
- ``object_lists``: lists of objects alone.
- ``nested``: nested mappings as flat ones.

None of them loads torch; RDKit is loaded when molecules are brought to canonical SMILES.
"""
