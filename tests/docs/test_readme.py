"""The examples in the README, and in the pages that it became, work as written, from a folder outside the project."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = ("campaigns", "measured", "analysis", "on_a_cluster", "sampler")
SITE = {name: (ROOT / f"docs/{name}.md").read_text(encoding="utf-8") for name in PAGES}


def blocks(language: str, text: str = README) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


@pytest.mark.slow
def test_the_oracle_in_ten_lines_runs_from_the_command_line_in_another_folder(tmp_path: Path) -> None:
    oracle = next(b for b in blocks("python") if b.startswith("# my_oracle.py"))
    config = next(b for b in blocks("yaml") if b.startswith("# my_campaign.yaml"))
    assert len(oracle.strip().splitlines()) <= 10
    (tmp_path / "my_oracle.py").write_text(oracle)
    (tmp_path / "my_campaign.yaml").write_text(config)
    small = ["rounds.initial=5", "rounds.batch_size=4", "rounds.count=1", "sampler.steps=3", "evaluation.workers=1"]
    command = [sys.executable, "-m", "al_loop.cli", "run", "my_campaign.yaml", *small]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr

    reading = next(b for b in blocks("python") if "open_run" in b)
    (tmp_path / "reading.py").write_text(
        reading.replace("runs/quickstart", "runs/logp") + "\nprint(len(run.evaluations))"
    )
    read = subprocess.run(
        [sys.executable, "reading.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert read.stdout.strip() == "9", read.stderr


def test_files_and_commands_that_the_readme_names_are_there() -> None:
    text = "\n".join([README, *SITE.values()])
    named = re.findall(r"`((?:configs|notebooks|docs|benchmarks)/[\w./]+)`", text)
    linked = re.findall(r"\]\(((?:docs|benchmarks)/[\w./]+)\)", README)
    assert named
    assert linked
    pictures = re.findall(r"\]\(\.\./(benchmarks/[\w./]+)\)", text)
    assert len(pictures) > 5
    for path in named + linked + pictures:
        assert (ROOT / path).exists(), path
    helped = subprocess.run([sys.executable, "-m", "al_loop.cli", "--help"], capture_output=True, text=True, check=True)
    for command in re.findall(r"^al-loop (\w+)", text, flags=re.MULTILINE):
        assert command in helped.stdout


def test_the_sampler_by_itself_as_the_readme_trains_it() -> None:
    code = next(b for b in blocks("python", SITE["sampler"]) if "Training(" in b)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=600, check=False)
    assert re.fullmatch(r"\['[ACGT]{8}'(, '[ACGT]{8}'){4}\]\n", done.stdout), done.stderr


def test_the_settings_of_calls_and_rounds_are_a_valid_part_of_a_config() -> None:
    import yaml

    from al_loop.config import parse_config

    settings = yaml.safe_load(next(b for b in blocks("yaml", SITE["campaigns"]) if b.startswith("evaluation:")))
    campaign = {
        "name": "x",
        "environment": {"kind": "sequence", "alphabet": "AC", "length": 3},
        "oracle": {"kind": "human"},
    }
    config = parse_config({**campaign, **settings})
    assert config.rounds.keep_busy
    assert config.budget.calls == 200


def test_the_readme_says_what_it_is_two_commands_one_picture_and_where_to_go_next() -> None:
    assert re.findall(r"^## (.*)", README, flags=re.MULTILINE) == [
        "Two commands",
        "Your own oracle in ten lines",
        "Where to go next",
    ]
    assert len(README.splitlines()) < 150
    assert len(re.findall(r"!\[", README)) == 1


def test_the_site_lists_every_page_that_the_readme_links_to() -> None:
    index = (ROOT / "docs/index.md").read_text(encoding="utf-8")
    for page in re.findall(r"\]\(docs/([\w/]+)\.md\)", README):
        assert re.search(rf"^{page}$", index, flags=re.MULTILINE), page
