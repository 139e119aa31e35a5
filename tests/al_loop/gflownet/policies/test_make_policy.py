"""The policy that suits an environment."""

import subprocess
import sys

import pytest

from al_loop.environments.fragments import Fragments
from al_loop.environments.sequence import Sequences
from al_loop.errors import ConfigError
from al_loop.gflownet.policies import make_policy
from al_loop.gflownet.policies.fragments import FragmentPolicy
from al_loop.gflownet.policies.mlp import MLPPolicy
from al_loop.gflownet.policies.transformer import TransformerPolicy


class ReadByATransformer(Sequences):
    default_policy = "transformer"


class ReadByNone(Sequences):
    default_policy = "telepathy"


def test_an_environment_declares_its_policy():
    assert type(make_policy(Sequences("AC", 3), 8, 1)) is MLPPolicy
    assert type(make_policy(Fragments(), 8, 1)) is FragmentPolicy
    assert type(make_policy(ReadByATransformer("AC", 3), 8, 1)) is TransformerPolicy


def test_a_policy_that_no_package_brings_is_named():
    with pytest.raises(ConfigError, match=r"'telepathy' is not one of .*mlp"):
        make_policy(ReadByNone("AC", 3))


def test_a_policy_of_trees_refuses_words():
    with pytest.raises(ValueError, match="fragments requires trees of fragments, not 'sequence'"):
        FragmentPolicy(Sequences("AC", 3))


def test_built_in_policies_are_found_without_pydantic():
    code = (
        "import sys; from al_loop.environments.set import Sets\n"
        "from al_loop.gflownet.policies import make_policy; make_policy(Sets(3, 2), 8, 1)\n"
        "assert not {'pydantic', 'yaml', 'rdkit'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
