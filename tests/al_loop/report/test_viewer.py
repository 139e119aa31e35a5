import pytest
from typer.testing import CliRunner

from al_loop.analysis import open_run
from al_loop.cli.app import app
from tests.support.browser import Visit, browser
from tests.support.molecule_run import ATTACKS, MOLECULES, fill


def test_the_viewer_is_one_page_that_loads_nothing(tmp_path):
    page = tmp_path / "viewer.html"
    assert CliRunner().invoke(app, ["viewer", "-o", str(page)]).exit_code == 0
    text = page.read_text()
    assert "connect-src &#39;none&#39;" in text
    assert len(text) < 8_000_000


@pytest.mark.slow
def test_a_dropped_ledger_is_shown_and_searched(tmp_path):
    folder = fill(tmp_path / "demo", objects=[*MOLECULES[:43], *ATTACKS], failure=ATTACKS[0], name=ATTACKS[1])
    with open_run(folder) as run:
        best = run.best(1)["object"].iloc[0]
    page = tmp_path / "viewer.html"
    CliRunner().invoke(app, ["viewer", "-o", str(page)])
    with browser() as chromium:
        visit = Visit(chromium, page.as_uri())
        visit.page.set_input_files("#file", tmp_path / "viewer.html")
        visit.page.locator("#message", has_text="not a SQLite file").wait_for()
        visit.page.set_input_files("#file", folder / "ledger.db")
        visit.page.locator("#message", has_text="nowhere but in this browser").wait_for()
        assert visit.page.locator("#best .smiles").first.inner_text() == best
        assert visit.page.locator("#count").inner_text() == "48 of 48 candidates"
        assert visit.page.locator(".plot svg").count() >= 4
        visit.page.fill("#f-pattern", "c1ccccc1")
        visit.page.locator("#count", has_text="20 of").wait_for()
        assert visit.violations() == []
        assert visit.complaints == []
        assert visit.foreign() == []
