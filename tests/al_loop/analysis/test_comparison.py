import numpy as np
import pytest

from al_loop.analysis import open_run
from al_loop.analysis.comparison import compare, group_labels, permutation_p
from al_loop.errors import ConfigError
from al_loop.ledger import Ledger
from al_loop.oracles.base import Objective
from al_loop.report.comparison_page import comparison_page, verdict
from tests.support.molecule_run import fill


def config(**settings):
    return {"name": "x", "acquisition": {"kind": "ucb", "kappa": 1.0}, **settings}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    opened = []
    for kappa, gain in ((1.0, 0.5), (8.0, 0.1)):
        for seed in range(3):
            settings = config(acquisition={"kind": "ucb", "kappa": kappa}, seed=seed)
            gains = (gain + 0.01 * seed, 0.05)
            path = fill(folder / f"{kappa}-{seed}", config=settings, gains=gains, open_batch=False, seed_of_run=seed)
            opened.append(open_run(path))
    yield opened
    for run in opened:
        run.close()


def test_runs_that_differ_in_the_seed_alone_form_a_group():
    configs = [config(seed=0), config(seed=1), config(seed=0, acquisition={"kind": "ucb", "kappa": 8})]
    assert group_labels(configs) == ["acquisition.kappa=1.0", "acquisition.kappa=1.0", "acquisition.kappa=8"]


def test_a_kind_that_differs_names_the_group():
    configs = [config(), config(acquisition={"kind": "thompson"})]
    assert group_labels(configs) == ["acquisition.kind=ucb", "acquisition.kind=thompson"]


def test_equal_runs_are_one_group():
    assert group_labels([config(seed=0), config(seed=1)]) == ["x", "x"]


def test_groups_are_compared_after_as_many_calls(runs):
    result = compare(runs, metric="best", at=24)
    assert result.at == 24
    expected = [run.evaluations.sort_values("number").iloc[:24]["energy"].min() for run in runs]
    assert result.runs["value"].tolist() == pytest.approx(expected)
    assert result.groups["n"].tolist() == [3, 3]
    assert result.groups["mean"].tolist() == pytest.approx([np.mean(expected[:3]), np.mean(expected[3:])])


def test_seeds_are_paired(runs):
    (test,) = compare(runs, metric="best").tests.to_dict("records")
    assert test["paired"]
    assert test["n_first"] == 3
    assert test["low"] <= test["difference"] <= test["high"]
    assert test["p"] == pytest.approx(0.25)  # the smallest of three pairs


def test_a_band_has_the_mean_and_spread_of_its_runs(runs):
    result = compare(runs, metric="best")
    last = result.bands[result.bands["calls"] == 48].set_index("group")
    assert last["mean"].tolist() == pytest.approx(result.groups["mean"].tolist())
    assert (last["n"] == 3).all()


def test_few_seeds_are_noted(runs):
    assert any("smallest p-value" in note for note in compare(runs).notes)
    assert any("no spread" in note for note in compare(runs[:1]).notes)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"metric": "bets"}, "did you mean 'best'"),
        ({"metric": "hypervolume"}, "does not fit"),
        ({"at": 999}, "from 1 to"),
    ],
)
def test_what_cannot_be_compared_is_refused(runs, settings, message):
    with pytest.raises(ConfigError, match=message):
        compare(runs, **settings)


def test_runs_of_other_objectives_are_refused(runs, tmp_path):
    with (
        open_run(fill(tmp_path, objectives=[Objective("gap", "eV")])) as other,
        pytest.raises(ConfigError, match="gap"),
    ):
        compare([runs[0], other])


def test_a_run_without_answers_is_named(runs, tmp_path):
    with open_run(fill(tmp_path / "empty", n_rounds=1)) as empty, pytest.raises(ConfigError, match="empty"):
        compare([runs[0], empty])


@pytest.mark.parametrize(
    ("x", "y", "is_paired", "p"),
    [
        ([1, 2, 3], [0, 1, 2], True, 2 / 8),
        ([1, 1], [1, 1], True, 1.0),
        ([5, 6], [1, 2], False, 2 / 6),
        ([1.0] * 5, [0.0] * 5, True, 2 / 32),
    ],
)
def test_the_p_value_is_that_of_all_permutations(x, y, is_paired, p):
    assert permutation_p(np.array(x, float), np.array(y, float), is_paired=is_paired) == pytest.approx(p)


def test_the_page_of_a_comparison_says_what_came_out(runs):
    result = compare(runs, metric="best")
    headline, sentences = verdict(result)
    page = comparison_page(result)
    assert headline in page
    assert "cannot be told apart" in sentences[0]
    assert "connect-src &#39;none&#39;" in page or "connect-src 'none'" in page


def test_hostile_settings_are_text_in_the_page(runs, tmp_path):
    attack = "<img src=x onerror=alert(1)>"
    with open_run(fill(tmp_path, open_batch=False, config=config(transform=attack))) as other:
        page = comparison_page(compare([runs[0], other]))
    assert attack not in page
    assert "&lt;img" in page


def test_calls_of_earlier_data_do_not_count(runs, tmp_path):
    with Ledger(f"sqlite:///{runs[0].path}/ledger.db", read_only=True) as ledger:
        assert compare(runs[:1]).at == ledger.n_calls()
