"""Placement of roles on nodes, from nodes as Ray describes them."""

from types import SimpleNamespace

import pytest

from al_loop.actors.cluster.placement import await_places, needs_of, options_of, placed
from al_loop.config import CampaignConfig, LearnerRole, Role, SamplerRole
from al_loop.errors import ConfigError


def node(labels=None, is_alive=True, **resources):
    always = {"memory": 8e9, "object_store_memory": 1e9, "node:10.0.0.1": 1.0}
    return {"Alive": is_alive, "Resources": {**always, **resources}, "Labels": labels or {}}


ORACLE = ("oracle", Role(custom={"licence": 1}), 2)
LEARNER = ("learner", Role(num_gpus=0.5), 1)
SAMPLER = ("sampler", SamplerRole(count=4, num_gpus=0.25), 4)
PLAIN = ("surrogate", Role(), 1)


def test_options_are_rays():
    role = Role(num_cpus=2, num_gpus=0.5, memory_gb=4, custom={"licence": 1}, labels={"zone": "a"})
    assert options_of(role) == {
        "num_cpus": 2,
        "num_gpus": 0.5,
        "memory": 4_000_000_000,
        "resources": {"licence": 1},
        "label_selector": {"zone": "a"},
    }
    assert options_of(Role(num_cpus=0)) == {"num_cpus": 0, "num_gpus": 0}
    assert needs_of(Role(num_cpus=0)) == {}


@pytest.mark.parametrize("order", [1, -1])
def test_a_role_that_goes_anywhere_leaves_what_is_rare_to_others(order):
    nodes = [node(CPU=2), node(CPU=2, licence=2)][::order]
    assert placed([ORACLE, PLAIN], nodes) == {"oracle": 2, "surrogate": 1}


def test_parts_of_a_gpu_add_up_and_one_of_each_role_comes_first():
    assert placed([SAMPLER, LEARNER], [node(CPU=8, GPU=1)]) == {"sampler": 2, "learner": 1}
    assert placed([SAMPLER, LEARNER], [node(CPU=8, GPU=1), node(CPU=8, GPU=1)]) == {"sampler": 4, "learner": 1}


def test_all_processes_of_a_learner_come_before_a_second_sampler():
    learners = ("learner", LearnerRole(replicas=2, num_gpus=0.5), 2)
    samplers = ("sampler", SamplerRole(count=4, num_gpus=0.25), 4)
    assert placed([samplers, learners], [node(CPU=8, GPU=1), node(CPU=8, GPU=0.5)]) == {"learner": 2, "sampler": 2}


def test_parts_are_counted_as_ray_counts_them():
    learner, sampler = ("learner", Role(num_gpus=0.8), 1), ("sampler", SamplerRole(num_gpus=0.2), 1)
    assert placed([learner, sampler], [node(CPU=8, GPU=1)]) == {"learner": 1, "sampler": 1}
    tenths = ("oracle", Role(num_cpus=0.1), 20)
    assert placed([tenths], [node(CPU=1)]) == {"oracle": 10}


@pytest.mark.parametrize("order", [1, -1])
def test_memory_is_left_to_those_that_need_it(order):
    nodes = [{**node(CPU=4), "Resources": {"CPU": 4, "memory": size * 1e9}} for size in (64, 8)][::order]
    roles = [("learner", Role(num_cpus=4), 1), ("surrogate", Role(memory_gb=40), 1)]
    assert placed(roles, nodes) == {"learner": 1, "surrogate": 1}


def test_the_autoscaler_is_told_of_labels_and_not_of_whole_gpus(monkeypatch):
    asked = []
    monkeypatch.setattr("al_loop.actors.cluster.placement.ray", SimpleNamespace(nodes=list))
    monkeypatch.setattr("al_loop.actors.cluster.placement.request_resources", lambda **what: asked.append(what))
    content = {"name": "t", "environment": {"kind": "hypergrid"}, "oracle": {"target": "none:none"}}
    sampler = {"count": 8, "num_gpus": 0.125, "labels": {"zone": "a"}}
    resources = {"sampler": sampler, "learner": {"num_gpus": 0.25}, "wait_s": 0.01}
    with pytest.raises(ConfigError, match="is asked for"):
        await_places(CampaignConfig.model_validate({**content, "resources": resources}), print)
    first = asked[0]
    assert sum(bundle.get("GPU", 0) for bundle in first["bundles"]) == 1.25
    assert len(first["bundle_label_selectors"]) == len(first["bundles"])
    assert first["bundle_label_selectors"].count({"zone": "a"}) == 8


def test_labels_memory_and_life_count():
    wanting = [("oracle", Role(labels={"zone": "a"}), 1)]
    assert placed(wanting, [node({"zone": "b"}, CPU=4)]) == {"oracle": 0}
    assert placed(wanting, [node({"zone": "a"}, is_alive=False, CPU=4)]) == {"oracle": 0}
    assert placed(wanting, [node({"zone": "a"}, CPU=4)]) == {"oracle": 1}
    assert placed([("oracle", Role(memory_gb=5), 3)], [node(CPU=4)]) == {"oracle": 1}


def test_what_the_autoscaler_was_asked_for_is_taken_back_when_the_wait_was_in_vain(monkeypatch):
    asked, notes = [], []
    lonely = {**node(CPU=1), "NodeManagerAddress": "10.0.0.1"}
    monkeypatch.setattr("al_loop.actors.cluster.placement.ray", SimpleNamespace(nodes=lambda: [lonely]))
    monkeypatch.setattr("al_loop.actors.cluster.placement.request_resources", lambda bundles: asked.append(bundles))
    monkeypatch.setattr("al_loop.actors.cluster.placement._POLL_S", 0.01)
    content = {"name": "t", "environment": {"kind": "hypergrid"}, "oracle": {"target": "none:none"}}
    resources = {"oracle": {"num_gpus": 0.5}, "wait_s": 0.05}
    with pytest.raises(ConfigError, match=r"resources\.oracle: 1 CPU, 0\.5 GPU is asked for"):
        await_places(CampaignConfig.model_validate({**content, "resources": resources}), notes.append)
    assert {"CPU": 1, "GPU": 0.5} in asked[0]
    assert asked[1:] == [[]]
    assert len(notes) == 1
