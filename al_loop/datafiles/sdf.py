"""Molecules and their properties in SDF files. RDKit is imported on first use."""

from __future__ import annotations

import re

from al_loop.datafiles.delimited import TableCells, regular_table
from al_loop.errors import ConfigError


def parse_sdf(text: str, file: str) -> TableCells:
    """Parse an SDF file into a table: the molecules as SMILES, their names, and one column per property.

    Args:
        text: the content of the file.
        file: name of the file in messages.

    Raises:
        ConfigError: a record is not a molecule; the message gives the line where it begins.
    """
    try:
        from rdkit import Chem, rdBase
    except ImportError as error:
        raise ConfigError(f"{file}: molecules require RDKit: pip install rdkit ({error})") from None
    records: list[dict[str, str]] = []
    lines: list[int] = []
    line = 1
    for record in re.split(r"(?<=\n)\$\$\$\$[^\n]*\n?", text.replace("\r\n", "\n").replace("\r", "\n")):
        if record.strip():
            with rdBase.BlockLogs():
                supplier = Chem.SDMolSupplier()
                supplier.SetData(record + ("" if record.endswith("\n") else "\n") + "$$$$\n")
                molecule = next(iter(supplier), None)
            if molecule is None or not molecule.GetNumAtoms():
                raise ConfigError(f"{file}, line {line}: this record is not a valid molecule; correct or remove it")
            records.append({"smiles": Chem.MolToSmiles(molecule), **_properties(molecule)})
            lines.append(line)
        line += record.count("\n") + 1
    columns = list(dict.fromkeys(name for record in records for name in record))
    rows = [tuple(columns), *(tuple(record.get(name, "") for name in columns) for record in records)]
    return regular_table(rows if records else [], [0, *lines], file)


def _properties(molecule: object) -> dict[str, str]:
    properties: dict[str, str] = {}
    values = molecule.GetPropsAsDict(includePrivate=False, autoConvertStrings=False)  # type: ignore[attr-defined]
    name = molecule.GetProp("_Name").strip() if molecule.HasProp("_Name") else ""  # type: ignore[attr-defined]
    if name and "name" not in {key.casefold() for key in values}:
        properties["name"] = name
    for key, value in values.items():
        # the structure is the object; a SMILES beside it is a remark
        properties[f"{key} (property)" if key.casefold() == "smiles" else key] = str(value).strip()
    return properties
