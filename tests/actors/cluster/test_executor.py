"""The same campaign on this machine and on Ray."""

from __future__ import annotations

from pathlib import Path

import pytest

from al_loop import Campaign, open_run
from al_loop.config import CampaignConfig, load_config
from al_loop.errors import CampaignError, ConfigError
from tests.support.placed import changed


@pytest.mark.slow
@pytest.mark.usefixtures("ray_cluster")
def test_the_same_campaign_runs_alike_on_this_machine_and_on_ray(placed: CampaignConfig, tmp_path: Path) -> None:
    from al_loop.actors.cluster.executor import RayExecutor

    tables = []
    for name, executor in (("here", None), ("ray", RayExecutor(placed, "auto"))):
        with Campaign(placed, tmp_path / name, executor) as campaign:
            campaign.run()
        frame = open_run(tmp_path / name).evaluations
        tables.append(frame.sort_values("object")[["round", "object", "measure", "predicted_mean"]])
    here, there = (t.reset_index(drop=True) for t in tables)
    assert len(here) == 18
    assert here["object"].tolist() == there["object"].tolist()
    assert here["round"].tolist() == there["round"].tolist()
    assert here["measure"].tolist() == there["measure"].tolist()
    assert there["predicted_mean"].dropna().to_numpy() == pytest.approx(here["predicted_mean"].dropna().to_numpy())


@pytest.mark.slow
@pytest.mark.usefixtures("ray_cluster")
def test_a_campaign_of_the_maximising_baseline_runs_alike_here_and_on_ray(
    tmp_path: Path, placed: CampaignConfig
) -> None:
    from al_loop.actors.cluster.executor import RayExecutor

    maximising = load_config("placed.yaml", ["sampler.kind=ppo", "sampler.searches=[]"])
    tables = []
    for name, executor in (("here", None), ("ray", RayExecutor(maximising, "auto"))):
        with Campaign(maximising, tmp_path / name, executor) as campaign:
            campaign.run()
        tables.append(open_run(tmp_path / name).evaluations.sort_values("object")["object"].tolist())
    assert len(tables[0]) == 18
    assert tables[0] == tables[1]


@pytest.mark.slow
@pytest.mark.usefixtures("ray_cluster")
def test_samplers_that_would_have_nothing_to_do_are_told_of(placed: CampaignConfig) -> None:
    from al_loop.actors.cluster.executor import RayExecutor

    idle = changed(changed(placed, "sampler", staleness=0, shares=1, searches=[]), "resources", sampler={"count": 3})
    notes: list[str] = []
    executor = RayExecutor(idle, "auto", notes.append)
    executor.training().close()
    executor.close()
    assert [note for note in notes if "sampler.staleness=5" in note]


def test_a_file_that_rays_workers_would_import_for_a_standard_module_is_refused(
    placed: CampaignConfig, tmp_path: Path
) -> None:
    from al_loop.actors.cluster.executor import RayExecutor

    (tmp_path / "test.py").touch()  # nothing imports the standard library's
    (tmp_path / "queue.py").touch()
    with pytest.raises(ConfigError, match=r"queue\.py has the name of a module .* by Ray's workers; rename it"):
        RayExecutor(placed, "auto")


def test_a_client_connection_is_refused_with_what_to_do_instead(placed: CampaignConfig) -> None:
    from al_loop.actors.cluster.executor import RayExecutor

    with pytest.raises(ConfigError, match="al-loop submit"):
        RayExecutor(placed, "ray://head:10001")


@pytest.mark.slow
@pytest.mark.usefixtures("ray_cluster")
def test_a_role_that_fits_on_no_node_is_refused_at_once_with_what_the_cluster_has(placed: CampaignConfig) -> None:
    from al_loop.actors.cluster.executor import RayExecutor

    wanting = changed(placed, "resources", sampler={"num_cpus": 1, "num_gpus": 0.5, "labels": {"zone": "a"}})
    with pytest.raises(ConfigError, match=r"resources\.sampler: 1 CPU, 0\.5 GPU with the labels zone=a") as error:
        RayExecutor(wanting, "auto")
    assert "has 4 CPU" in str(error.value)


@pytest.mark.slow
@pytest.mark.usefixtures("ray_cluster")
def test_a_surrogate_that_is_always_killed_ends_the_campaign_with_the_reason(
    placed: CampaignConfig, tmp_path: Path
) -> None:
    from al_loop.actors.cluster.executor import RayExecutor

    module = f"deadly_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{module}.py").write_text(
        "import os\nfrom al_loop.surrogates.gp import ExactGP\n\n"
        "class Deadly(ExactGP):\n    def fit(self, X, Y, Yvar=None):\n        os._exit(9)\n"
    )
    deadly = load_config("placed.yaml", [f"surrogate={{target: '{module}:Deadly'}}"])
    notes: list[str] = []
    with (
        pytest.raises(CampaignError, match=r"the surrogate died 4 times.*resources\.surrogate"),
        Campaign(deadly, tmp_path / "run", RayExecutor(deadly, "auto", notes.append)) as campaign,
    ):
        campaign.run()
    assert len([note for note in notes if "the surrogate died" in note]) == 3
    assert len(open_run(tmp_path / "run").evaluations) == 6
