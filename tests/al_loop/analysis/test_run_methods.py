"""What a notebook asks of a run beside its tables: picks, pictures, map, timeline, replay."""

import numpy as np
import pytest

from al_loop.analysis import open_run
from al_loop.analysis.similarity import similarities
from al_loop.errors import ConfigError
from tests.support.molecule_run import ATTACKS, HOSTILE, fill


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    with open_run(fill(tmp_path_factory.mktemp("runs") / "demo", details={"ID": "Z-7"})) as opened:
        yield opened


def test_top_is_the_best_with_its_rank(run):
    table = run.top(5)
    assert table["object"].tolist() == run.best(5)["object"].tolist()
    assert table["rank"].tolist() == [1, 2, 3, 4, 5]
    assert {"predicted_mean", "predicted_std", "ID"} <= set(table.columns)


def test_diverse_objects_differ(run):
    table = run.top(5, diverse=True)
    S = similarities(table["object"].tolist(), "molecule")
    assert S[np.triu_indices(5, 1)].max() < 0.3
    assert table["rank"].is_monotonic_increasing
    assert table["rank"].iloc[0] == 1


@pytest.mark.parametrize("settings", [{"k": 0}, {"k": 3, "diverse": True, "threshold": 0}])
def test_impossible_picks_are_refused(run, settings):
    with pytest.raises(ConfigError, match="top:"):
        run.top(**settings)


def test_a_grid_has_a_picture_and_values_for_each_object(run):
    grid = run.molecule_grid(4)
    html = grid._repr_html_()
    assert len(grid) == 4
    assert html.count("<svg") == 4
    assert "energy: " in html
    assert "ID Z-7" in html


def test_hostile_objects_are_text_in_notebooks(tmp_path):
    objects = [f"{a}{i}" for i in range(4) for a in ATTACKS]
    settings = {"name": HOSTILE, "details": {HOSTILE: HOSTILE}, "object_type": "other"}
    with open_run(fill(tmp_path, objects=objects, n_rounds=2, **settings)) as run:
        shown = [run._repr_html_(), run.molecule_grid(9)._repr_html_(), run.compare()._repr_html_()]
        shown += [run.describe()._repr_html_(), run.evaluations._repr_html_()]
        run.plot_progress(), run.plot_map(), run.plot_timeline(), run.plot_calibration()
    assert not any(attack in text for attack in ATTACKS[:3] for text in shown)


def test_names_with_formulas_can_be_plotted(tmp_path):
    with open_run(fill(tmp_path, name="$x_{", n_rounds=2)) as run:
        for figure in (run.plot_progress(), run.plot_calibration(), run.plot_map(), run.plot_timeline()):
            figure.canvas.draw()


def test_the_map_places_results_and_open_candidates(run):
    table = run.map()
    assert len(table) == 48 - run.status().failed
    assert table["energy"].isna().sum() == run.status().pending
    assert {"x", "y", "object", "round", "series"} <= set(table.columns)


def test_the_timeline_can_be_plotted(run):
    assert "36 calls" in run.plot_timeline().axes[0].get_title()
    assert "objects" in run.plot_map().axes[0].get_title()


def test_calibration_is_a_table(run):
    assert {"measured", "predicted_mean", "z", "within_80"} <= set(run.calibration().columns)
    with pytest.raises(ConfigError, match="energy"):
        run.calibration("enrgy")


@pytest.mark.parametrize("number", [0, 9, None])
def test_a_round_that_no_model_chose_cannot_be_replayed(tmp_path, number):
    with open_run(fill(tmp_path, n_rounds=1)) as run, pytest.raises(ConfigError, match="not chosen by a model"):
        run.replay(number)


@pytest.fixture(scope="module")
def campaign(tmp_path_factory):
    import shutil
    from pathlib import Path

    golden, folder = Path(__file__).parents[2] / "golden", tmp_path_factory.mktemp("golden") / "words"
    shutil.copytree(golden / "runs" / "words", folder)
    with pytest.MonkeyPatch.context() as patch, open_run(folder) as opened:
        patch.syspath_prepend(str(golden / "campaigns"))  # where its oracle is
        yield opened


def test_a_replay_of_the_same_choices_has_the_recorded_scores(campaign):
    replayed = campaign.replay()
    batch = replayed.table[replayed.table["was_chosen"]]
    recorded = campaign.candidates.loc[batch.index, "acquisition"]
    assert batch["score"].tolist() == pytest.approx(recorded.tolist(), rel=1e-6)


def test_a_replay_under_other_choices_says_what_cannot_be_known(campaign):
    replayed = campaign.replay(acquisition={"kind": "ucb", "kappa": 20}, selector="greedy")
    assert replayed.table["score"].is_monotonic_decreasing
    chosen = replayed.table["would_be_chosen"]
    assert chosen.sum() == replayed.table["was_chosen"].sum()
    assert chosen.head(int(chosen.sum())).all()  # the greedy selector takes the best scores
    assert any("cannot be known" in note for note in replayed.unknown)
    assert "<table" in replayed._repr_html_()


def test_an_unknown_acquisition_is_refused(campaign):
    with pytest.raises(ConfigError, match="did you mean 'thompson'"):
        campaign.replay(acquisition="thomson")
