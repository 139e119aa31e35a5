import base64
import gzip
import json
import re
from contextlib import ExitStack
from html.parser import HTMLParser

import pytest

from al_loop.analysis import open_run
from al_loop.analysis.comparison import compare
from al_loop.analysis.facts import run_facts
from al_loop.oracles.base import Objective
from al_loop.report.comparison_page import comparison_page
from al_loop.report.page import report_page, short
from tests.support.molecule_run import ATTACKS, HOSTILE, MOLECULES, fill
from tests.support.plans import make_plan

WORDS = [f"AC{a}{b}T{c}GG" for a in "ACGT" for b in "ACGT" for c in "AC"]


class Elements(HTMLParser):
    """The elements, attributes and visible text of a page."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.attributes, self.text, self._at = [], [], [], ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        self._at = tag

    def handle_data(self, data):
        if self._at not in ("script", "style"):
            self.text.append(data)


def page_of(folder, **settings):
    with open_run(fill(folder, **settings)) as run:
        return report_page(run_facts(run, has_map=False))


def facts_in(page):
    packed = re.search(r'<script type="text/plain" id="facts">([^<]*)</script>', page)[1]
    return json.loads(gzip.decompress(base64.b64decode(packed)))


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    return page_of(tmp_path_factory.mktemp("runs") / "demo")


def text_of(page):
    return " ".join(" ".join(Elements(page).text).split())


def test_a_report_begins_with_what_another_round_is_expected_to_bring(page):
    text = text_of(page)
    assert "the open round is expected to bring" in text
    assert text.index("Recommendation") < text.index("The best 10") < text.index("Proposed next")


def test_a_report_draws_the_best_and_says_why_each_was_chosen(page):
    best = facts_in(page)["best"]
    assert len(best) == 10
    assert Elements(page).tags.count("svg") >= 10
    assert best[0]["why"] in text_of(page)


def test_a_report_has_the_same_facts_as_the_run(page):
    facts = facts_in(page)
    assert facts["status"]["answered"] == 36
    assert facts["table"]["n"] == 48
    assert facts["next"]["pending"]
    assert facts["next"]["n"] == 12


def test_a_report_loads_nothing(page):
    links = [value for name, value in Elements(page).attributes if name in ("src", "href", "action", "srcset")]
    assert all(link.startswith(("#", "data:")) for link in links), links
    assert "url(http" not in page
    assert "@import" not in page


def test_only_the_scripts_of_the_page_may_run(page):
    policy = dict(Elements(page).attributes)["content"]
    policy = next(v for k, v in Elements(page).attributes if k == "content" and "script-src" in v)
    assert "default-src 'none'" in policy
    assert "connect-src 'none'" in policy
    assert "unsafe-inline" not in policy.split("script-src")[1].split(";")[0]


@pytest.mark.parametrize("attack", ATTACKS)
def test_hostile_names_reasons_and_labels_are_text(tmp_path, attack):
    objects = [f"{attack}{i}" for i in range(48)]
    page = page_of(
        tmp_path, objects=objects, name=attack, failure=attack, details={attack: attack}, object_type="other"
    )
    elements, harmless = Elements(page), Elements(page_of(tmp_path / "b", object_type="other"))
    assert elements.tags.count("script") == harmless.tags.count("script")
    assert "onerror" not in {name for name, _ in elements.attributes}
    assert not {"img", "iframe", "object", "embed"} & set(elements.tags)
    assert not re.search(r"(?i)<svg[^>]*onload", page)


@pytest.mark.parametrize("attack", ATTACKS)
def test_hostile_groups_and_plans_are_text(tmp_path, attack):
    make_plan("minimise", objective="energy", goal_text=attack, assumptions=(attack,)).save(tmp_path / "first")
    folders = [
        fill(tmp_path / name, name=attack, n_rounds=2, config={"acquisition": {"kind": f"{attack}{name}"}})
        for name in ("first", "second")
    ]
    with ExitStack() as stack:
        runs = [stack.enter_context(open_run(folder)) for folder in folders]
        pages = [report_page(run_facts(runs[0], has_map=False)), comparison_page(compare(runs))]
    for page in pages:
        elements = Elements(page)
        assert "onerror" not in {name for name, _ in elements.attributes}
        assert not {"img", "iframe", "object", "embed"} & set(elements.tags)
        assert not re.search(r"(?i)<svg[^>]*onload", page)
        assert "<script>alert" not in page


def test_a_hostile_molecule_is_drawn_as_text(tmp_path):
    page = page_of(tmp_path, objects=[*MOLECULES[:47], HOSTILE])
    assert HOSTILE not in page
    assert facts_in(page)["run"]["object_type"] == "molecule"


def test_sequences_have_a_logo_and_an_alignment_in_place_of_structures(tmp_path):
    page = page_of(tmp_path, objects=WORDS, kind="sequence", alphabet="ACGT", length=8)
    assert "Letters of the" in text_of(page)
    assert 'class="logo"' in page
    assert 'class="alignment"' in page
    assert 'id="rdkit-wasm"' not in page


def test_several_objectives_have_a_front(tmp_path):
    objectives = [Objective("energy", "eV", "minimise"), Objective("qed", "", "maximise")]
    page = page_of(tmp_path, objectives=objectives)
    assert "Trade-off" in text_of(page)
    assert facts_in(page)["front"]["rows"]


def test_an_empty_run_has_a_report(tmp_path):
    page = page_of(tmp_path, n_rounds=1, open_batch=True)
    assert "Nothing is measured yet." in text_of(page)


def test_the_address_of_a_database_is_not_in_the_report(tmp_path):
    page = page_of(tmp_path, config={"ledger": "postgresql://ada:secret@host/db"})
    assert "secret" not in page + json.dumps(facts_in(page))


@pytest.mark.parametrize(("value", "text"), [(None, "–"), (5, "5"), (5.19795, "5.198"), (1e-9, "1e-09"), ("x", "x")])
def test_numbers_are_short(value, text):
    assert short(value) == text
