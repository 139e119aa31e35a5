import csv
import io

import pytest
from typer.testing import CliRunner

from al_loop.cli.app import app
from tests.support.molecule_run import ATTACKS, HOSTILE, fill


def run(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments])


def test_report_writes_a_page_and_says_where(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fill(tmp_path / "demo", n_rounds=2)
    done = run("report", "demo")
    assert done.exit_code == 0, done.output
    assert done.output == "written: report.html\n"
    assert (tmp_path / "report.html").stat().st_size < 10_000_000
    assert run("report", "demo").exit_code == 0  # its own page is replaced
    (tmp_path / "report.html").write_text("mine")
    assert run("report", "demo").exit_code == 2
    assert run("report", "demo", "--force").exit_code == 0


def test_report_of_no_run_lists_what_is_there(tmp_path):
    fill(tmp_path / "demo", n_rounds=2)
    done = run("report", tmp_path / "dmo")
    assert done.exit_code == 2
    assert "demo" in done.output


def test_compare_takes_a_folder_of_runs_and_writes_a_page(tmp_path):
    for seed in range(2):
        fill(tmp_path / f"s{seed}", n_rounds=2, seed_of_run=seed, open_batch=False, config={"seed": seed})
    done = run("compare", tmp_path, "-o", tmp_path / "compare.html")
    assert done.exit_code == 0, done.output
    assert "(2 runs)" in done.output
    assert (tmp_path / "compare.html").is_file()


def test_compare_refuses_a_run_that_is_named_twice(tmp_path):
    fill(tmp_path / "s", n_rounds=2)
    done = run("compare", tmp_path / "s", tmp_path / "s")
    assert done.exit_code == 2
    assert "twice" in done.output


@pytest.mark.parametrize("attack", ATTACKS)
def test_no_command_lets_a_terminal_obey(tmp_path, attack):
    objects = [f"{attack}\x1b[2J{i}" for i in range(20)]
    folder = fill(tmp_path / "demo", objects=objects, n_rounds=2, failure=attack, name=attack, object_type="other")
    for arguments in (("status", folder), ("status", folder, "-v"), ("compare", folder)):
        done = run(*arguments)
        assert done.exit_code == 0, done.output
        assert not {"\x1b", "\x07", "\r"} & set(done.output)


def test_exported_cells_are_no_formulas_and_come_back_as_they_were(tmp_path):
    from al_loop.datafiles.delimited import parse_delimited

    objects = [f"=HYPERLINK({i})" for i in range(20)]
    folder = fill(tmp_path / "demo", objects=objects, n_rounds=2, failure="-1+cmd|x", object_type="other",
                  details={"@name": "+formula"})  # fmt: skip
    for table in ("evaluations", "candidates"):
        path = tmp_path / f"{table}.csv"
        assert run("export", folder, "--table", table, "-o", path).exit_code == 0
        cells = [cell for row in csv.reader(io.StringIO(path.read_text())) for cell in row]
        assert not [c for c in cells if c[:1] in ("=", "@") or c.startswith(("+f", "-1+"))]
        parsed = parse_delimited(path.read_text(), "x.csv")
        assert {row[parsed.header.index("object")] for row in parsed.rows} <= set(objects)
        assert "@name" in parsed.header
    path = tmp_path / "x.tsv"
    assert run("export", folder, "-o", path).exit_code == 0
    assert "\t=HYP" not in path.read_text()


def test_a_table_to_fill_in_has_no_formulas(tmp_path):
    from al_loop.ledger import Ledger
    from al_loop.people.ask import ask

    folder = fill(tmp_path / "demo", objects=[f"={HOSTILE}{i}" for i in range(8)], n_rounds=2, object_type="other")
    with Ledger(f"sqlite:///{folder}/ledger.db") as ledger:
        rows = list(csv.reader(io.StringIO(ask(ledger, ledger.pending(), "object"))))
    assert all(row[1].startswith("'=") for row in rows[1:])
