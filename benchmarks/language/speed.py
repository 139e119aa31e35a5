"""Tokens per second of sampling and of training with SmolLM2-135M, beside Hugging Face's generate; peak memory.

    python benchmarks/language/speed.py                    # about 3 minutes on a CPU; on a GPU if there is one
    python benchmarks/language/speed.py --model random     # where SmolLM2 is not installed: its shape, random weights

Sampling draws 64 continuations of 30 tokens of one prompt, out of all 49,152 tokens: by the engine (adapters on, prompt
read once, float32 head), and by ``generate`` of the frozen model, without adapters. A training step has 32 texts of 30
tokens, with the rewards of all their prefixes. Prints the table with the device's name, and writes language_speed.csv.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import torch

from al_loop.environments.tokens import Tokens
from al_loop.gflownet.learner import Learner
from al_loop.gflownet.policies.language import LanguagePolicy
from al_loop.gflownet.reward import StateReward
from al_loop.gflownet.rollout import rollout
from al_loop.gflownet.sampler import Sampler
from al_loop.gflownet.settings import TrainingSettings
from al_loop.language import Continuation

RESULTS = Path(__file__).parents[1] / "results"
PROMPT = "The old man opened the door and"
N, N_TRAINED, LENGTH = 64, 32, 30
SHAPE = {
    "vocab_size": 49_152,
    "hidden_size": 576,
    "intermediate_size": 1536,
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "tie_word_embeddings": True,
}


def random_model(folder: Path) -> str:
    """Write a model with random weights and the shape of SmolLM2-135M, and return its folder."""
    import transformers
    from tokenizers import Tokenizer, models, pre_tokenizers

    torch.manual_seed(0)
    config = transformers.LlamaConfig(bos_token_id=None, eos_token_id=0, **SHAPE)
    transformers.AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    words = ["<end>", "a", "b", *(f"w{i}" for i in range(3, SHAPE["vocab_size"]))]
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<end>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<end>").save_pretrained(folder)
    return str(folder)


def timed(work: Callable[[], object], device: torch.device, n_tokens: int, repeats: int) -> tuple[float, float]:
    """Return tokens per second, and the peak memory in GB (NaN on a CPU)."""
    work()
    if device.type == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
    began = time.perf_counter() if device.type == "cuda" else time.process_time()
    for _ in range(repeats):
        work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    spent = (time.perf_counter() if device.type == "cuda" else time.process_time()) - began
    peak = torch.cuda.max_memory_allocated() / 1e9 if device.type == "cuda" else float("nan")
    return repeats * n_tokens / spent, peak


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--dtype", default="bfloat16", choices=["bfloat16", "float32"])
    parser.add_argument("--model", default="smollm2", help="a model of Hugging Face, or random")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = random_model(Path(folder)) if options.model == "random" else options.model
        measure(options, path)


def measure(options: argparse.Namespace, path: str) -> None:
    """Time sampling and training of the model at a path, and write the table."""
    torch.set_num_threads(1)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    name = torch.cuda.get_device_name() if device.type == "cuda" else "CPU, one thread"
    if options.model != "smollm2":
        name += f", model {Path(options.model).name}"
    prompt = PROMPT if options.model == "smollm2" else "ab"
    environment = Tokens(path, [prompt], max_tokens=LENGTH, min_tokens=LENGTH, dtype=options.dtype)
    policy = LanguagePolicy(environment, lora=16).to(device)
    generator = torch.Generator(device).manual_seed(0)
    start = environment.initial(N, device)
    prompt_tokens = environment.prompt_tokens.to(device).expand(N, -1)
    model = environment.language_model
    settings = TrainingSettings(
        objective="modified_sub_trajectory_balance", batch_size=N_TRAINED, replay_size=0, device=str(device), floor=1e6
    )
    learner = Learner(environment, settings, 0, policy)
    continuation = Continuation()
    continuation.bind(environment)
    reward = StateReward(continuation)
    learner.start(reward)
    sampler = Sampler(environment, policy)
    sampler.set_reward(reward)
    texts = sampler.draw(N_TRAINED, seed=0)
    seeds = iter(range(10**6))

    def generate() -> None:
        model._model.generate(  # type: ignore[operator]
            prompt_tokens, do_sample=True, min_new_tokens=LENGTH, max_new_tokens=LENGTH, pad_token_id=environment.end
        )

    works = {
        "engine, sampling": (
            lambda: rollout(environment, policy, N, generator=generator, start=start), N * LENGTH
        ),
        "Hugging Face generate": (generate, N * LENGTH),
        "engine, training step": (lambda: learner.update(texts, seed=next(seeds)), N_TRAINED * LENGTH),
    }  # fmt: skip
    rows = []
    for what, (work, n_tokens) in works.items():
        speed, peak = timed(work, device, n_tokens, options.repeats)
        rows.append({"device": name, "what": what, "tokens_per_s": round(speed, 1), "peak_gb": peak})
        print(rows[-1], flush=True)
    options.out.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows).to_csv(options.out / "language_speed.csv", index=False)
    if device.type == "cpu":
        print("on a GPU: not measured, this machine has none")


if __name__ == "__main__":
    main()
