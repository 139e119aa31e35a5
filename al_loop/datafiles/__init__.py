"""Readers of users' tables and lists of objects, and a helper for nested mappings.

- ``text_files``: text from plain and compressed files.
- ``delimited``: cells separated by commas, semicolons or tabs, under a header.
- ``object_tables``: tables of objects with measured values or other data, by column.
- ``object_lists``: lists of objects only.
- ``nested``: conversion of nested mappings to flat ones.

None of them loads torch; RDKit is loaded when molecules are converted to canonical SMILES.
"""
