"""Objects as pictures in a notebook: structures for molecules, letters for all others."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from al_loop.analysis.molecules import draw
from al_loop.analysis.object_kinds import kind_of_objects
from al_loop.system.numbers import significant

if TYPE_CHECKING:
    from al_loop.analysis.tables import RunTables

_CARD = "border:1px solid #d9dee3;border-radius:6px;overflow:hidden;width:230px;font:13px sans-serif"
_PICTURE = "background:#fff;color:#1b2733;min-height:40px;text-align:center;padding:4px"


@dataclass(frozen=True, eq=False)
class Grid:
    """Pictures of objects with their values, which notebooks display.

    Args:
        cards: the object of each card, its drawing (None: as text), and the lines below it.
    """

    cards: list[tuple[str, str | None, list[str]]]

    def __len__(self) -> int:
        return len(self.cards)

    def _repr_html_(self) -> str:
        parts = []
        for name, drawing, lines in self.cards:
            picture = drawing or f"<code style='overflow-wrap:anywhere'>{html.escape(name)}</code>"
            texts = "".join(f"<div>{html.escape(line)}</div>" for line in lines)
            parts.append(
                f"<div style='{_CARD}' title='{html.escape(name)}'><div style='{_PICTURE}'>{picture}</div>"
                f"<div style='padding:5px 8px'>{texts}</div></div>"
            )
        return f"<div style='display:flex;flex-wrap:wrap;gap:8px'>{''.join(parts)}</div>"


def molecule_grid(run: RunTables, table: pd.DataFrame) -> Grid:
    """Return pictures of the objects of a table of the run, with measured and predicted values.

    Args:
        run: the run.
        table: rows of its evaluations or candidates.
    """
    objects = table["object"].astype(str).tolist()
    is_molecule = kind_of_objects(run.config, objects) == "molecule"
    labels = run.labels(objects) if objects else {}
    cards = []
    for id_, row in zip(table.index, table.to_dict("records"), strict=True):
        lines = []
        for column, objective in run.optimised.items():
            if column in row and row[column] == row[column]:
                lines.append(f"{objective.name}: {significant(row[column])} {objective.unit}".rstrip())
            mean, std = run.prediction_columns(column) or ("", "")
            if mean in row and row[mean] == row[mean]:
                lines.append(f"predicted {significant(row[mean])} ± {significant(row[std], 2)}")
        name = str(row["object"])
        lines.append(" · ".join([f"candidate {id_}", f"round {row['round']}", *filter(None, [labels.get(name)])]))
        cards.append((name, draw(name) if is_molecule else None, lines))
    return Grid(cards)
