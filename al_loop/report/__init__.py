"""Pages about runs: one self-contained report, the same page live, and comparisons.

The facts come from ``al_loop.analysis``; here they are laid out. Text of the ledger (objects, names, reasons) is
escaped by Jinja, or becomes the text of an element in the browser; scripts run only if their hash is in the page's
policy, and nothing may be loaded from or sent to anywhere.

- ``page``: the report of a run as one HTML page.
- ``assets``: what the pages contain: styles, scripts, and libraries with their licences.
- ``comparison_page``: several runs side by side.
- ``viewer``: the page onto which a ledger is dropped.
- ``server``: the same pages, live.
- ``files``: pages as files.
- ``logo``: a sequence logo as SVG.
"""
