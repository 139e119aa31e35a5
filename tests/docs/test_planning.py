"""The code of docs/planning.md works as written, and its commands exist."""

import re
from pathlib import Path

PAGE = (Path(__file__).parents[2] / "docs/planning.md").read_text(encoding="utf-8")


def test_the_code_of_the_page_runs():
    cells: dict[str, object] = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL):
        exec(compile(block, "docs/planning.md", "exec"), cells)
    assert cells["plan"].simulations == 6


def test_the_options_of_the_page_exist():
    import inspect

    from al_loop.cli.plan import plan

    known = set(inspect.signature(plan).parameters)
    named = {name.removeprefix("--").replace("-", "_") for name in re.findall(r"--[a-z][a-z-]+", PAGE)}
    assert named <= known
