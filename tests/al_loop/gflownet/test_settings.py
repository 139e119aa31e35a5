"""The settings of sampler training, and the section of a config that they mirror."""

import math
from dataclasses import fields
from typing import get_args, get_type_hints

import pytest
import torch

from al_loop import gflownet
from al_loop.config import CampaignConfig
from al_loop.gflownet.objectives import make_objective
from al_loop.gflownet.objectives.trajectory_balance import TrajectoryBalance
from al_loop.gflownet.settings import TrainingSettings

SECTION = CampaignConfig.model_fields["sampler"].annotation
#: keys of a config that are no settings of training
OF_A_CAMPAIGN = {"kind", "policy", "prior", "pool", "evolution"}
#: settings that a config cannot express, or expresses elsewhere
OF_THE_ENGINE = {"forward_looking", "conditioning", "per_condition", "floor"}
#: parts are built, and a round of a campaign has fewer steps
DIFFERENT_DEFAULTS = {"objective", "searches", "steps"}


def test_every_setting_is_a_key_of_the_config_and_the_other_way_round():
    keys = set(SECTION.model_fields) - OF_A_CAMPAIGN
    assert keys == {field.name for field in fields(TrainingSettings)} - OF_THE_ENGINE


def test_defaults_of_the_config_are_those_of_the_engine():
    section, settings = SECTION(), TrainingSettings()
    names = {field.name for field in fields(TrainingSettings)} - OF_THE_ENGINE - DIFFERENT_DEFAULTS
    assert {n: getattr(section, n) for n in names} == {n: getattr(settings, n) for n in names}
    assert section.objective.kind == settings.objective


def test_choices_of_the_config_are_those_of_the_engine():
    hints = get_type_hints(TrainingSettings)
    for name in ("order", "backward", "backward_loss", "replay_priority", "precision"):
        assert get_args(SECTION.model_fields[name].annotation) == get_args(hints[name]), name


@pytest.mark.parametrize(("precision", "dtype"), [("float32", torch.float32), ("bfloat16", torch.bfloat16)])
def test_dtype_is_that_of_the_precision(precision, dtype):
    assert TrainingSettings(precision=precision).dtype == dtype


def test_the_old_name_still_works():
    assert gflownet.Training is TrainingSettings


@pytest.mark.parametrize(
    ("settings", "n_conditions", "message"),
    [
        ({"batch_size": 1}, None, "batch_size: LogPartitionVariance compares trajectories, at least 2, got 1"),
        ({"batch_size": 8}, 2000, "per_condition: .* hardly has two of one among 2000; set it to at least 2"),
        ({"batch_size": 4, "per_condition": 8}, None, "per_condition: must be at most the batch_size of 4"),
        ({"batch_size": 48}, 10, ""),
        ({"batch_size": 8, "per_condition": 2}, 2000, ""),
    ],
)
def test_an_objective_that_compares_trajectories_needs_some_of_one_condition(settings, n_conditions, message):
    training = TrainingSettings(objective="log_partition_variance", replay_size=0, **settings)
    objective = make_objective(training.objective)

    def check():
        training.check_objective(objective)
        training.check_groups(objective, n_conditions)

    if not message:
        check()
        return
    with pytest.raises(ValueError, match=message):
        check()


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        *((name, 0, "a whole number of at least 1, got 0") for name in ("batch_size", "updates", "heads", "layers")),
        *((name, 0, "a whole number of at least 1, got 0") for name in ("epochs", "shares", "hidden", "per_condition")),
        *((name, -1, "a whole number of at least 0, got -1") for name in ("steps", "staleness", "replay_size")),
        *((name, 2.5, "a whole number") for name in ("batch_size", "steps", "measured_size", "replay_capacity")),
        ("batch_size", True, "a whole number of at least 1, got True"),
        *((name, -0.1, "a number above 0 and finite, got -0.1") for name in ("lr", "lr_log_z", "temperature")),
        *((name, math.nan, "a number") for name in ("lr", "temperature", "clip_norm", "epsilon", "ema", "floor")),
        ("temperature", math.inf, "finite, got inf"),
        ("lr", "1e-3", "a number above 0 and finite, got '1e-3'"),
        ("clip_norm", 0, "a number above 0, got 0"),
        ("epsilon", 1.5, "a number from 0 to 1, got 1.5"),
        ("ema", 1, "a number at least 0 and below 1, got 1"),
        ("floor", -1, "a number at least 0, got -1"),
        ("backward", "max_ent", "not one of learned, uniform, maximum_entropy"),
        ("backward_loss", "tlm", "not one of balance, likelihood"),
        ("replay_priority", "best", "not one of reward, recency"),
        ("precision", "float64", "not one of auto, float32, tf32, bfloat16"),
        ("order", "random", "not one of fixed, arrival"),
        ("execution", "fast", "not one of auto"),
        ("objective", None, "an Objective, got None"),
        ("objective", TrajectoryBalance, "an Objective, got <class"),
        ("searches", ["local_search"], "a list of searches"),
        ("searches", "local_search", "a list of searches"),
        ("conditioning", None, "a Conditioning, got None"),
        ("forward_looking", "no", "true or false, got 'no'"),
        ("device", None, "the name of a device"),
    ],
)
def test_settings_out_of_range_are_refused_by_name(name, value, expected):
    with pytest.raises(ValueError, match=f"^{name}: .*{expected}"):
        TrainingSettings(**{name: value})


def test_settings_at_the_ends_of_their_ranges_are_accepted():
    TrainingSettings(steps=0, epsilon=1, ema=0, floor=math.inf, clip_norm=None, replay_size=0, searches=[])
