from pathlib import Path

import pytest

from al_loop import open_run
from al_loop.actors.local import LocalExecutor
from al_loop.campaign.preparation import prepare
from al_loop.campaign.reaching import MAX_STAGES, Reaching, walk_to_constraints
from al_loop.campaign.rehearsal import objects_to_rehearse
from al_loop.config import parse_config
from al_loop.errors import CampaignError, ConfigError
from al_loop.modelling.constraint_reward import ConstraintReward
from tests.support.project import Project, enter_project

pytestmark = pytest.mark.slow

#: met by 1 of 4,096 random words
ALL_STRONG = {"kind": "gc_content", "min": 1}
#: met by no word of up to 14 letters
BETWEEN_COUNTS = {"kind": "gc_content", "min": 0.51, "max": 0.57}
CONFIG = {
    "name": "words",
    "environment": {"kind": "sequence", "alphabet": "ACGU", "length": 12},
    "oracle": {"kind": "human"},
    "sampler": {"steps": 8, "batch_size": 32, "hidden": 16, "pool": 64},
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    return enter_project(tmp_path, monkeypatch)


def reach(tmp_path, n=8, **config):
    parts = prepare(parse_config(CONFIG | config))
    with LocalExecutor(parts.config, tmp_path).training() as training:
        return parts, Reaching(parts, training).run(n, set(), lambda detail: None)


def test_a_sampler_learns_to_meet_constraints_that_random_words_hardly_meet(tmp_path):
    _, reached = reach(tmp_path, constraints=[ALL_STRONG, {"kind": "motif", "motifs": ["GCG"], "min": 1}])
    assert len(set(reached.objects)) == len(reached.objects) >= 8
    assert all(set(word) <= {"G", "C"} and "GCG" in word for word in reached.objects)
    assert reached.info["share"] > 0.01  # of random words, 1 in 6,000
    assert "the sampler was trained towards them first" in reached.summary


def test_what_nothing_meets_ends_before_the_last_stage_with_nothing(tmp_path):
    _, reached = reach(tmp_path, constraints=[BETWEEN_COUNTS])
    assert not reached.objects
    assert reached.info["stages"] < MAX_STAGES


def test_the_walk_begins_at_the_seeds():
    config = {"constraints": [{"kind": "motif", "motifs": ["GCGCGCGCGC"], "min": 1}], "seeds": ["AGCGCGCGCGCA"]}
    parts = prepare(parse_config(CONFIG | config))
    walk = walk_to_constraints(parts, ConstraintReward(parts.constraints))
    assert walk.best(1) == ["AGCGCGCGCGCA"]
    assert any(parts.constraints.acceptable(names) for names in walk.draws(2, 128))


def test_a_campaign_begins_inside_rare_constraints_and_stays_there_also_if_it_is_started_again(project):
    settings = ("environment.length=12", "constraints=[{kind: gc_content, min: 1}]", "sampler.steps=10")
    notes = project.run(*settings, "rounds.count=0")
    assert any("trained towards them first" in note for note in notes.notes)
    project.run(*settings, "rounds.count=1")
    assert all(set(word) <= {"G", "C"} for word in project.objects())
    assert len(set(project.objects())) == 12
    assert project.infos()[0]["reached"]["share"] >= 0.05
    assert "reached" in set(open_run(project / "run").candidates["origin"])
    project.run(*settings, "rounds.count=1", run_dir="at once")
    assert project.objects() == project.objects("at once")


def test_constraints_that_cannot_be_met_are_an_error_with_the_pass_rate_of_each(project):
    bounds = "constraints=[{kind: gc_content, min: 0.5}, {kind: gc_content, min: 0.51, max: 0.57}]"
    with pytest.raises(
        ConfigError, match=r"constraints\.1 \(gc_content, min 0\.51, max 0\.57\) is met by 0 \(0\.0%\)"
    ) as error:
        project.run(bounds, "sampler.steps=2")
    assert "constraints.0 (gc_content, min 0.5) is met by" in str(error.value)
    assert project.objects() == []


def test_with_earlier_data_the_sampler_is_trained_towards_rare_constraints_before_the_first_round(project):
    (project / "earlier.csv").write_text("sequence,measure\n" + "".join(f"{'ACGU' * 2}{w}GUA,1\n" for w in "ACGU"))
    settings = ("environment.length=12", "initial_data=earlier.csv", "rounds.initial=0", "rounds.count=1")
    notes = project.run(*settings, "constraints=[{kind: gc_content, min: 1}]", "sampler.steps=8")
    assert any("trained towards them first" in note for note in notes.notes)
    proposed = project.objects()[4:]
    assert len(proposed) == 6
    assert all(set(word) <= {"G", "C"} for word in proposed)


def test_constraints_that_leave_nothing_in_a_later_round_do_not_end_it_as_finished(project):
    project.run("rounds.count=1", "sampler.steps=2")
    with pytest.raises(CampaignError, match=r"round 2: none of .*gc_content, min 0\.51, max 0\.57\) is met by 0"):
        project.start("rounds.count=2", "sampler.steps=2", "constraints=[{kind: gc_content, min: 0.51, max: 0.57}]")
    assert open_run(project / "run").status().closed_rounds == 2


def test_a_first_batch_that_is_smaller_than_asked_says_how_rare_each_constraint_is(project):
    # there are 16 words of 4 strong letters
    settings = ("environment.length=4", "rounds.initial=20", "rounds.count=0", "sampler.steps=1")
    notes = project.run(*settings, "constraints=[{kind: gc_content, min: 1}]")
    (note,) = [note for note in notes.notes if "only" in note]
    assert "of 20 new acceptable objects were found" in note
    assert "constraints.0 (gc_content, min 1) is met by" in note


def test_a_check_says_that_constraints_are_met_after_moves_only():
    accepted, how = objects_to_rehearse(prepare(parse_config(CONFIG | {"constraints": [ALL_STRONG]})))
    assert all(set(word) <= {"G", "C"} for word in accepted)
    assert how.startswith("met by ")
    with pytest.raises(ConfigError, match=r"is met by 0 \(0\.0%\)"):
        objects_to_rehearse(prepare(parse_config(CONFIG | {"constraints": [BETWEEN_COUNTS]})))
