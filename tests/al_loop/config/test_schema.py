import pytest
import yaml

from al_loop.config import CampaignConfig, load_config
from al_loop.errors import ConfigError
from tests.support.configs import BASE


@pytest.mark.parametrize(
    "override",
    [
        "rounds.count=50",
        "evaluation={workers: 7, timeout_s: 3, attempts: 5}",
        "ledger='sqlite:///elsewhere.db'",
        "resources.sampler.num_gpus=1",
    ],
)
def test_length_and_place_are_not_the_identity(write, override):
    assert load_config(write(), [override]).fingerprint == load_config(write()).fingerprint


@pytest.mark.parametrize(
    "override",
    [
        "seed=2",
        "name=other",
        "goal=minimise",
        "environment.length=7",
        "oracle.n_calls=1",
        "constraints.0.min=0.25",
        "surrogate={kind: gp, kernel: hamming}",
        "acquisition.kappa=9",
        "selector={kind: greedy}",
        "reward.beta=3",
        "sampler.steps=6",
        "rounds.batch_size=5",
        "rounds.initial=5",
    ],
)
def test_all_else_is_the_identity(write, folder, override):
    (folder / "my_module_of_oracles.py").write_text("def count(item, n_calls=0):\n    return 1.0\n")
    path = write(BASE + "acquisition: {kind: ucb}\n")
    changed = CampaignConfig.model_validate(_with(yaml.safe_load(path.read_text()), override))
    assert changed.fingerprint != load_config(path).fingerprint


def _with(content, override):
    name, _, value = override.partition("=")
    *path, last = (int(p) if p.isdecimal() else p for p in name.split("."))
    target = content
    for key in path:
        target = target.setdefault(key, {}) if isinstance(target, dict) else target[key]
    target[last] = yaml.safe_load(value)
    return content


def test_processes_of_the_learner_that_get_no_trajectory_are_refused(write):
    with pytest.raises(ConfigError, match=r"replicas: 9 processes cannot share a batch of 8 \(sampler.batch_size\)"):
        load_config(write(), ["sampler.batch_size=8", "resources.learner.replicas=9"])
    settings = ["sampler.epochs=3", "sampler.backward_loss=likelihood", "resources.learner.replicas=2"]
    assert load_config(write(), settings).fingerprint == load_config(write()).fingerprint


def test_the_order_of_keys_does_not_matter(write):
    first = load_config(write()).fingerprint
    lines = BASE.splitlines()
    assert load_config(write("\n".join([*lines[1:3], lines[0], *lines[3:]]))).fingerprint == first


def test_folders_belong_to_a_machine_and_not_to_the_config(write, folder):
    config = load_config(write())
    assert config.folders[0] == str(folder)
    moved = config.with_folders("elsewhere")
    assert (moved.folders, config.folders[0]) == (("elsewhere",), str(folder))
    assert moved.model_dump() == config.model_dump()
    assert moved.fingerprint == config.fingerprint
    assert moved.model_copy(update={"seed": 2}).folders == ("elsewhere",)
