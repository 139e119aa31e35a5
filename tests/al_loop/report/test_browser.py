import csv
import io

import pytest

from al_loop.analysis import open_run
from al_loop.report.files import write_report
from tests.support.browser import Visit, browser
from tests.support.molecule_run import ATTACKS, MOLECULES, fill

pytestmark = pytest.mark.slow
OBJECTS = [*MOLECULES[:40], *ATTACKS, *MOLECULES[40:43]]


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = fill(tmp_path_factory.mktemp("runs") / "demo", objects=OBJECTS, failure=ATTACKS[0], name=ATTACKS[1])
    with open_run(folder) as run:
        return write_report(run, folder / "report.html").as_uri()


@pytest.fixture(scope="module")
def chromium():
    with browser() as opened:
        yield opened


def rows(visit):
    return int(visit.page.locator("#count").inner_text().split()[0])


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (390, True)], ids=["desktop", "phone, dark"])
def test_a_report_is_whole_quiet_and_accessible(chromium, page, width, dark):
    visit = Visit(chromium, page, width=width, dark=dark)
    assert visit.shifts() == []
    assert visit.page.locator(".plot svg").count() >= 8
    assert visit.page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    assert visit.violations() == []
    assert visit.complaints == []
    assert visit.foreign() == []


def test_the_table_is_filtered_sorted_searched_and_saved(chromium, page):
    visit = Visit(chromium, page)
    assert rows(visit) == 48
    visit.page.select_option("#f-status", "measured")
    assert rows(visit) == 33
    visit.page.click("#reset")
    assert rows(visit) == 48
    visit.page.fill("#f-pattern", "c1ccccc1")
    visit.page.locator("#count", has_text="20 of").wait_for()
    saved = list(csv.DictReader(io.StringIO(visit.download("#save-csv"))))
    assert len(saved) == 20
    assert all("c1ccccc1" in row["object"] for row in saved)
    assert visit.download("#save-sdf").count("$$$$") == 20
    visit.page.click("#reset")
    visit.page.click("th:has-text('energy (eV)') button >> nth=0")
    assert visit.page.locator("th[aria-sort=ascending]").count() == 1
    cells = [row["energy"] for row in csv.DictReader(io.StringIO(visit.download("#save-csv"))) if row["energy"]]
    assert list(map(float, cells)) == sorted(map(float, cells))
    assert visit.complaints == []


def test_a_browser_that_cannot_load_rdkit_says_so(chromium, page):
    visit = Visit(chromium, page)
    visit.page.evaluate("() => { WebAssembly.instantiate = () => Promise.reject(new Error('out of memory')); }")
    visit.page.fill("#f-pattern", "c1ccccc1")
    visit.page.locator("#count", has_text="c1ccccc1: out of memory").wait_for()
    visit.page.click("#save-sdf")
    visit.page.locator("#count", has_text="no SDF: out of memory").wait_for()
    assert visit.complaints == []


def test_hostile_text_is_inert_in_the_page_and_in_what_it_saves(chromium, page):
    visit = Visit(chromium, page)
    visit.scroll()
    visit.page.fill("#f-text", "HYPERLINK")
    visit.page.locator("#count", has_text="1 of").wait_for()
    saved = list(csv.DictReader(io.StringIO(visit.download("#save-csv"))))
    assert saved[0]["object"] == "'=HYPERLINK(1)"
    assert visit.page.locator("main img").count() == 0
    assert visit.complaints == []


def test_the_map_shows_the_object_in_focus(chromium, page):
    visit = Visit(chromium, page)
    visit.scroll()
    visit.page.focus("#chart-map")
    visit.page.keyboard.press("ArrowRight")
    visit.page.wait_for_selector("#map-object svg")
    assert "energy" in visit.page.locator("#map-object").inner_text()
