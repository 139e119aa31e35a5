import re
from pathlib import Path

from al_loop.cli.app import app
from tests.support.molecule_run import fill

PAGE = (Path(__file__).parents[2] / "docs" / "report.md").read_text(encoding="utf-8")


def test_the_notebook_lines_of_the_page_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for seed in range(2):
        fill(tmp_path / "runs" / f"seed{seed}", seed_of_run=seed, config={"seed": seed})
    for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        exec(compile(block, "report.md", "exec"), {})


def test_commands_and_pictures_of_the_page_exist():
    names = {command.callback.__name__ for command in app.registered_commands if command.callback}
    assert set(re.findall(r"^al-loop (\w+)", PAGE, re.MULTILINE)) <= names
    pictures = re.findall(r"\]\((images/[^)]+)\)", PAGE)
    assert len(pictures) >= 8
    assert all((Path(__file__).parents[2] / "docs" / name).is_file() for name in pictures)
