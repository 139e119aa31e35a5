"""Readers of users' tables and lists of objects, and a helper for nested mappings.

Every table that a user provides is read by these rules:

- ``text_files``: content of plain and compressed files, as text in several encodings.
- ``delimited``: cells separated by commas, semicolons or tabs, under a header; the shape that every table must have.
- ``excel``, ``parquet``, ``sdf``: tables in other formats.
- ``table_files``: tables of any format, by the file's suffix.
- ``cells``: the meaning of a cell: numbers, missing values, failures.
- ``object_columns``: which column contains the objects, and of what type they are.
- ``object_tables``: tables of objects with measured values or other data, by column.
- ``result_tables``, ``headings``, ``units``: tables of results, with a column per objective.
- ``lists``, ``object_lists``: lists of objects only.
- ``number_tables``: tables and arrays of numbers alone, such as points or pixels.
- ``nested``: conversion of nested mappings to flat ones.

None of them loads torch; RDKit is loaded when molecules are converted to canonical SMILES.
"""
