"""The settings of sampler training, and the section of a config that they mirror."""

from dataclasses import fields
from typing import get_args, get_type_hints

import pytest
import torch

from al_loop import gflownet
from al_loop.config import CampaignConfig
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
