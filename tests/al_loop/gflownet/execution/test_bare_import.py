"""The engine on a machine that has torch and little else, as GPU machines may."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[4]
_CODE = """
import sys
for name in ("pydantic", "sqlalchemy", "pint", "rdkit", "ray", "alembic", "botorch", "gpytorch", "rich"):
    sys.modules[name] = None
from al_loop.environments.fragments import Fragments
from al_loop.environments.hypergrid import Hypergrid
from al_loop.gflownet import StateReward, Trainer, Training
for environment in (Hypergrid(2, 4), Fragments(max_fragments=3)):
    training = Training(batch_size=4, hidden=8, layers=1, replay_size=0)
    Trainer(environment, StateReward(lambda states: states.float().sum(1) / 10), training).step()
import runpy
sys.argv = ["gpu.py"]
runpy.run_path("benchmarks/engine/gpu.py", run_name="__main__")
"""


def test_training_and_the_benchmark_for_a_gpu_need_torch_alone():
    done = subprocess.run([sys.executable, "-c", _CODE], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "not measured: no GPU" in done.stdout or "torch" in done.stdout
