"""The buffer of the best continuations of each prompt, no two of which are nearly equal."""

from __future__ import annotations

import json
from collections.abc import Hashable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from al_loop.datafiles.object_lists import read_texts
from al_loop.datafiles.text_files import read_content
from al_loop.environments.tokens import Tokens
from al_loop.errors import ConfigError
from al_loop.gflownet.reward import AnyReward
from al_loop.gflownet.sources import ConditionHeaps, Entries
from al_loop.language.rewards import LanguageReward


def edit_distance(state: Tensor, others: Tensor) -> Tensor:
    """Return the edit distance of a continuation from k others, as a share of its own length, shape k.

    Args:
        state: token ids, their number and whether it was stopped, shape L + 2.
        others: the same of k others, shape k x (L + 2).
    """
    n = int(state[-2])
    lengths = others[:, -2]
    longest = int(lengths.max()) if len(lengths) else 0
    # row[:, j]: distance of the first i tokens from the first j of each other one
    row = torch.arange(longest + 1).expand(len(others), -1).clone()
    offsets = torch.arange(longest + 1)
    words = others[:, :longest].cpu()
    for i, token in enumerate(state[:n].tolist(), start=1):
        best = torch.empty_like(row)
        best[:, 0] = i
        best[:, 1:] = torch.minimum(row[:, 1:] + 1, row[:, :-1] + (words != token))
        # insertions: best[j] = min over k <= j of best[k] + (j - k)
        row = (best - offsets).cummin(1).values + offsets
    distances = row.gather(1, lengths.cpu()[:, None])[:, 0].double()
    return (distances / max(n, 1)).to(others.device)


class TextBuffer(ConditionHeaps):
    """The best continuations of each prompt (the reward buffer of Hu et al. 2024), by their reward at temperature 1.

    Of two continuations whose edit distance is below a share of the length of the worse one, the better stays,
    whichever came first.

    Args:
        environment: the space.
        reward: the reward, after ``bind``.
        capacity: largest number of continuations of a prompt.
        distance: smallest edit distance between two of them, as a share of the worse one's length.
        device: the device of the training.
    """

    def __init__(
        self,
        environment: Tokens,
        reward: LanguageReward,
        capacity: int = 50,
        distance: float = 0.25,
        device: torch.device | str = "cpu",
    ) -> None:
        super().__init__(environment.condition_size, capacity, distance, edit_distance)
        self._device = torch.device(device)
        self._environment, self._reward = environment, reward

    def add(self, keys: Sequence[Hashable], states: Tensor, log_reward: Tensor) -> None:
        states = states.to(self._device)
        super().add(keys, states, self._reward.untempered(states))

    def rescore(self, log_reward: AnyReward) -> None:
        """Do nothing, since the rewards at temperature 1 do not change."""

    def recompute(self) -> None:
        """Compute the rewards of all texts anew, such as after a change of the reward's code."""
        for condition, heap in self._heaps.items():
            self._heaps[condition] = self._thin(Entries(heap.keys, heap.states, self._reward.untempered(heap.states)))

    def seed(self, texts: Sequence[tuple[str | None, str]]) -> dict[str, str]:
        """Add texts from elsewhere.

        Args:
            texts: pairs of a prompt, or None for every prompt, and a text.

        Returns:
            The texts that the space of a prompt lacks, which are left out, with the reason.

        Raises:
            ConfigError: a prompt is not one of the environment's.
        """
        prompts = self._environment.prompts
        rows = []
        refused: dict[str, str] = {}
        for prompt, text in texts:
            if prompt is not None and prompt not in prompts:
                raise ConfigError(f"seeds: {prompt!r:.80} is not one of the prompts")
            for index in range(len(prompts)) if prompt is None else [prompts.index(prompt)]:
                try:
                    rows.append(self._environment.finished([text], torch.tensor([index])))
                except ValueError as error:
                    refused[text] = str(error)
        if rows:
            states = torch.cat(rows)
            self.add([tuple(row) for row in states.tolist()], states, torch.zeros(len(states)))
        return refused


def read_seeds(path: str | Path) -> list[tuple[str | None, str]]:
    """Return the texts of a file with which to seed a buffer, each with its prompt, or None for every prompt.

    Args:
        path: ``.jsonl``: lines like ``{"prompt": ..., "text": ...}``, where the prompt may be missing; any other file
            has one text per line.

    Raises:
        ConfigError: the file cannot be read, or a line is not as expected.
    """
    content = read_content(Path(path))
    if content.suffix != ".jsonl":
        return [(None, text) for text in read_texts(path)]
    seeds: list[tuple[str | None, str]] = []
    for number, line in enumerate(content.lines(), start=1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
            prompt, text = entry.get("prompt"), entry["text"]
            if not isinstance(text, str) or not (prompt is None or isinstance(prompt, str)):
                raise TypeError
        except (ValueError, KeyError, TypeError, AttributeError):
            raise ConfigError(f'{path}, line {number}: expected {{"prompt": "...", "text": "..."}}') from None
        seeds.append((prompt, text))
    return seeds
