"""The page onto which a ledger is dropped: it opens it in the browser, with nothing installed."""

from __future__ import annotations

from markupsafe import Markup

from al_loop import __version__
from al_loop.report import assets
from al_loop.report.page import environment

_SCRIPTS = ("core.js", "chem.js", "table.js", "charts.js", "viewer.js")


def viewer_page() -> str:
    """Return the page; it contains SQLite and RDKit, compiled to WebAssembly, and no data."""
    scripts = [assets.text(name) for name in (*assets.CHART_LIBRARIES, "sql-wasm.js", *_SCRIPTS)]
    libraries = (*assets.RDKIT, ("sql-wasm", "sql-wasm.wasm"))
    return (
        environment()
        .get_template("viewer.html")
        .render(
            version=__version__,
            css=Markup(assets.text("page.css")),
            scripts=list(map(Markup, scripts)),
            policy=assets.policy([*scripts, assets.text("RDKit_minimal.js")], has_rdkit=True),
            packed_libraries=[(name, Markup(assets.packed_library(file))) for name, file in libraries],
            licences=assets.text("licences.txt"),
        )
    )
