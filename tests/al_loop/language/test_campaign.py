"""Campaigns whose sampler is a language model."""

import copy

import pytest
import torch

from al_loop.campaign.sampler_training import GFlowNetTraining, make_sampler
from al_loop.config import load_config
from al_loop.environments.tokens import Tokens
from al_loop.errors import ConfigError
from al_loop.gflownet.pipeline import InlineSampler
from al_loop.gflownet.reward import StateReward
from al_loop.language import tune
from al_loop.language.likelihood_reward import with_likelihood
from al_loop.language.rewards import Continuation
from al_loop.language_models.loading import load_language_model
from al_loop.smiles import canonical_smiles
from tests.support.language import tiny_model
from tests.support.project import enter_project

pytest.importorskip("peft")

CONFIG = """
name: tiny
seed: 1
environment: {kind: tokens, model: molecules.pt, prompts: hits.smi, max_tokens: 6}
oracle: {target: "ORACLE:measure"}
reward: {beta: 2, prior: {temperature: 2.0}}
sampler:
  {steps: 3, batch_size: 16, pool: 48, replay_size: 4, policy: {kind: language, lora: 2}, OBJECTIVE}
rounds: {initial: 4, batch_size: 4, count: 1}
evaluation: {workers: 1, timeout_s: 60}
"""
ORACLE = """
def measure(smiles):
    assert "(" not in smiles or ")" in smiles, smiles
    return smiles.count("N") + 0.1 * len(smiles)
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    model = copy.deepcopy(load_language_model(tiny_model("CNO(")))
    model.object_type = "molecule"
    model._settings["object_type"] = "molecule"
    model.save(tmp_path / "molecules.pt")
    (tmp_path / "hits.smi").write_text("CCO ethanol\nNC methylamine\n")
    objective = "objective: {kind: trajectory_balance}"
    return enter_project(tmp_path, monkeypatch, CONFIG.replace("OBJECTIVE", objective), ORACLE)


def test_a_campaign_measures_canonical_molecules_that_the_model_writes(project):
    project.run()
    objects = project.objects()
    assert len(objects) == len(set(objects)) == 8
    assert all(canonical_smiles(name) == name for name in objects)
    info = project.infos()[-1]
    assert 0 <= info["invalid_share"] < 1
    assert info["moved_mb"]["weights"] < 0.1


@pytest.mark.parametrize("kind", ["modified_sub_trajectory_balance", "relative_trajectory_balance"])
def test_other_objectives_train_and_checkpoints_resume(project, kind):
    temperature = 1.0 if kind.startswith("relative") else 2.0
    overrides = [f"sampler.objective={kind}", f"reward.prior.temperature={temperature}"]
    config = load_config(project.config, overrides)
    first, second = (GFlowNetTraining(config, InlineSampler(make_sampler(config))) for _ in range(2))

    def reward(objects):
        return torch.tensor([float(name.count("N")) for name in objects])

    losses = [step.loss for step in first.train(1, reward, ["CN", "not a molecule"])]
    assert len(losses) == 3
    second.load(first.state())
    assert first.draw(20, seed=5) == second.draw(20, seed=5)
    assert len(first.state()) < 60_000
    assert first.best_seen()


def test_the_reward_is_the_likelihood_to_the_power_of_1_over_t_times_the_acquisition(project):
    environment = Tokens("molecules.pt", ["CCO", "NC"], max_tokens=6)
    states = environment.finished(["CN", "C(", "NC"], torch.tensor([0, 1, 1]))

    def reward(objects):
        return torch.tensor([{"CN": 1.0, "C(": -30.0}[name] for name in objects])

    total = with_likelihood(reward, environment, 2.0, False)
    assert isinstance(total, StateReward)
    likelihood = Continuation()
    likelihood.bind(environment)
    assert torch.allclose(total.function(states), likelihood(states) / 2 + torch.tensor([1.0, -30.0, 1.0]), atol=1e-5)
    assert with_likelihood(reward, environment, 1.0, True).function(states).tolist() == [1.0, -30.0, 1.0]
    with pytest.raises(ConfigError, match="at temperature 1"):
        with_likelihood(reward, environment, 2.0, True)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["sampler.kind=ppo"], "ppo reads no prompts"),
        (["environment={kind: sequence, alphabet: ACGU, length: 6}", "sampler.policy=null"], "a likelihood requires"),
        (["environment.prompts=missing.smi"], "missing.smi"),
    ],
)
def test_what_does_not_fit_is_refused(project, overrides, message):
    with pytest.raises(ConfigError, match=message):
        project.run(*overrides)


def test_campaigns_without_a_likelihood_keep_their_fingerprint(tmp_path):
    path = tmp_path / "words.yaml"
    path.write_text(
        "name: words\nenvironment: {kind: sequence, alphabet: ACGU, length: 6}\noracle: {kind: human, objectives: "
        "[{name: x, goal: maximise}]}\n"
    )
    config = load_config(path)
    assert "prior" not in config.model_copy().fingerprint
    changed = load_config(path, ["reward.prior.temperature=2"])
    assert changed.fingerprint != config.fingerprint


def test_a_tuned_model_is_where_a_campaign_starts_from(project):
    tuned = tune("molecules.pt", ["CCO", "NC"], lambda text: text.count("N"), lora=2, steps=2, lr=0.1, max_tokens=6)
    tuned.save(project / "adapter.pt")
    config = load_config(project.config, ["sampler.prior=adapter.pt"])
    training = GFlowNetTraining(config, InlineSampler(make_sampler(config)))
    states = tuned.environment.start(torch.tensor([0, 1]))
    assert training._learner.policy.forward_logits(states).equal(tuned.policy.forward_logits(states))
    with pytest.raises(ConfigError, match="letters, blocks or actions differ"):
        GFlowNetTraining(
            load_config(project.config, ["sampler.prior=adapter.pt", "environment.forbidden=[O]"]),
            InlineSampler(make_sampler(config)),
        )
