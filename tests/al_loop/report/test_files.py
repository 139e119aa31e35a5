import pytest

from al_loop.analysis import open_run
from al_loop.errors import ConfigError
from al_loop.report.files import write_page, write_report
from tests.support.molecule_run import fill


def test_a_report_replaces_an_earlier_one_but_no_other_file(tmp_path):
    page = tmp_path / "report.html"
    with open_run(fill(tmp_path / "run", n_rounds=2)) as run:
        write_report(run, page)
        assert write_report(run, page) == page
    assert "energy" in page.read_text()
    other = tmp_path / "other.html"
    other.write_text("mine")
    with pytest.raises(ConfigError, match="already exists"):
        write_page("x", other)
    assert other.read_text() == "mine"
    write_page("x", other, force=True)
    assert other.read_text() == "x"
