import pytest
import torch

from al_loop.environments.tokens import Tokens
from al_loop.errors import ConfigError
from al_loop.gflownet.random_objects import random_objects
from al_loop.language_models.annalog import load_annalog
from al_loop.language_models.loading import load_language_model
from al_loop.smiles import canonical_smiles
from tests.support.language import needs


@torch.no_grad()
def test_the_models_analogues_are_molecules_and_its_cache_is_right():
    needs("annalog")
    environment = Tokens("annalog", ["CC(=O)Nc1ccc(O)cc1", "O=C(Nc1ccccc1)c1ccccc1"], max_tokens=90)
    objects = random_objects(environment, 24, torch.Generator().manual_seed(0))
    assert len(objects) >= 20
    assert all(canonical_smiles(name) == name for name in objects)
    model = load_language_model("annalog")
    prompt = torch.tensor([model.tokenizer.encode_prompt("CCO")])
    text = torch.tensor([model.tokenizer.encode("CCN(C)C")])
    memory, _ = model.read_prompts(prompt, prompt >= 0)
    steps = torch.cat([model.read(memory, text[:, i : i + 1]) for i in range(text.shape[1])], 1)
    memory, _ = model.read_prompts(prompt, prompt >= 0)
    assert torch.allclose(steps, model.read(memory, text), atol=1e-5)


def test_other_weights_are_refused(tmp_path):
    (tmp_path / "x.pt").write_bytes(b"x")
    with pytest.raises(ConfigError, match="checksum"):
        load_annalog(tmp_path / "x.pt", torch.float32)
