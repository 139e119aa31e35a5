from pathlib import Path

import pytest

from al_loop import open_run
from al_loop.campaign.reproduction import reproduced
from al_loop.errors import CampaignError
from tests.support.project import Project, enter_project


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    return enter_project(tmp_path, monkeypatch)


def test_an_oracle_that_fails_for_all_stops_the_campaign_with_the_reason(project: Project) -> None:
    project.set_oracle("def measure(word):\n    raise OSError('licence server not reachable')\n")
    with pytest.raises(
        CampaignError, match=r"first 5 objects all failed in the same way .*licence server not reachable"
    ):
        project.run()
    assert open_run(project / "run").evaluations.empty


def test_what_was_known_when_a_batch_was_decided_on_can_be_read_from_the_ledger(project: Project) -> None:
    project.run("rounds.close_share=0.5", "evaluation.workers=3")
    with project.ledger() as ledger:
        second = ledger.rounds()[1]
        known = ledger.observations(until=second.info["n_answers"])
        assert 3 <= len(known) <= 6
        assert all(o.round == 0 for o in known)


def test_noise_that_the_oracle_states_reaches_the_model_and_the_table(project: Project) -> None:
    project.set_oracle(
        "from al_loop import Outcome\n"
        "def measure(word):\n    return Outcome(values=(word.count('G'),), noise=(0.5 + word.count('A'),))\n",
    )
    project.run("rounds.count=1")
    table = open_run(project / "run").evaluations
    assert (table["measure_std"] == 0.5 + table["object"].str.count("A")).all()
    project.run("rounds.count=1", run_dir="again")
    with_noise = open_run(project / "again").evaluations["predicted_mean"]
    project.set_oracle("def measure(word):\n    return word.count('G')\n")
    project.run("rounds.count=1", run_dir="silent")
    without = open_run(project / "silent").evaluations["predicted_mean"]
    assert with_noise.dropna().tolist() != without.dropna().tolist()


def test_constraints_hold_for_every_object_that_is_paid_for(project: Project) -> None:
    project.run("constraints=[{kind: gc_content, max: 0.5}]")
    assert all(sum(letter in "GC" for letter in word) <= 3 for word in project.objects())


@pytest.mark.parametrize(
    "part",
    [
        "selector={kind: sequential}",
        "selector={kind: dpp}",
        "selector={kind: leader}",
        "selector={kind: local_penalisation}",
        "selector={kind: mixed, share: 0.5, by: uncertainty}",
        "acquisition={kind: log_ei}",
        "acquisition={kind: pi}",
        "acquisition={kind: qlognei}",
        "acquisition={kind: qlogei}",
        "acquisition={kind: thompson}",
        "acquisition={kind: max_value_entropy}",
        "acquisition={kind: knowledge_gradient}",
    ],
)
def test_every_acquisition_and_selector_runs_a_campaign_also_with_pending_objects(project: Project, part: str) -> None:
    project.run(part, "rounds.close_share=0.6", "sampler.steps=3")
    assert len(set(project.objects())) == 18


def test_a_quota_of_scaffolds_holds_in_each_batch(project: Project) -> None:
    from al_loop.monitoring.metrics import scaffold

    project.set_oracle("def measure(smiles):\n    return smiles.count('N')\n")
    settings = ("environment={kind: fragments, max_fragments: 2}", "rounds.count=2", "sampler.steps=5")
    project.run(*settings, "selector={kind: scaffold_quota, per_scaffold: 1}")
    candidates = open_run(project / "run").candidates
    for _, batch in candidates[candidates["round"] > 0].groupby("round"):
        assert batch["object"].map(scaffold).is_unique


def test_a_campaign_without_a_value_measures_more_objects_first_if_initial_is_raised(project: Project) -> None:
    project.set_oracle("def measure(word):\n    n = word.count('G')\n    return n if n > 2 else float('nan')\n")
    with pytest.raises(CampaignError, match=r"gave no value for any of 2 objects.*raise rounds.initial \(2\)"):
        project.run("rounds.initial=2", "rounds.count=3", "seed=4")
    with pytest.raises(CampaignError, match="gave no value for any of 2 objects"):
        project.run("rounds.initial=2", "rounds.count=3", "seed=4")
    again = project.run("rounds.initial=20", "rounds.count=3", "seed=4")
    assert not any("checkpoint" in note for note in again.notes)
    table = open_run(project / "run").candidates
    assert table["round"].value_counts().sort_index().tolist() == [2, 18, 6, 6]
    assert table["object"].is_unique
    assert table["predicted_mean"].notna().tolist() == [False] * 20 + [True] * 12
    with project.ledger() as ledger:
        assert all(batch.is_same for batch in reproduced(ledger, project / "run"))
