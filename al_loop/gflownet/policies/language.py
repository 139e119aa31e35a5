"""A language model as a policy, tuned by low-rank adapters."""

from __future__ import annotations

import copy
import importlib
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from al_loop.environments.base import Environment
from al_loop.environments.tokens import Tokens
from al_loop.errors import ConfigError
from al_loop.gflownet.large_vocabulary import chosen_log_probs
from al_loop.gflownet.policies.base import ChosenSteps, Context, Policy, condition_values
from al_loop.gflownet.unique_rows import unique_rows
from al_loop.language_models.base import LanguageModel, Memory, with_shared_weights


@dataclass
class _RollOuts:
    """Memory of roll-outs between their steps.

    Args:
        texts: what the model has read.
        hidden: the hidden states after the prompts, until the first step.
        rows: the roll-outs that are in ``texts``.
    """

    texts: Memory
    hidden: Tensor | None
    rows: Tensor


class LanguagePolicy(Policy):
    """A language model that continues prompts; what is trained are adapters (LoRA, Hu et al. 2022) and a flow head.

    Its frozen weights are those of the environment's model, which all policies of a process share, so that the model
    without adapters is the reference at no cost. Each distinct prompt is read once, and in a roll-out, each step reads
    one token. The head and log-probabilities are computed in float32, for the allowed tokens only.

    Args:
        environment: the space, ``Tokens``.
        hidden: not used, the model has its own width.
        layers: not used.
        n_conditions: number of conditions of the reward.
        heads: must be 1.
        lora: rank of the adapters; 0: nothing is trained but the flow head; None: all weights are trained.

    Raises:
        ConfigError: the environment is not ``Tokens``, an ensemble is asked for, or the package peft is missing.
    """

    kind = "language"
    is_markov: ClassVar[bool] = False  # each roll-out has its own keys and values
    reads_from_device: ClassVar[bool] = True  # the lengths, since its keys and values grow

    def __init__(
        self,
        environment: Environment,
        hidden: int = 128,
        layers: int = 2,
        n_conditions: int = 0,
        heads: int = 1,
        lora: int | None = 16,
    ) -> None:
        super().__init__()
        if not isinstance(environment, Tokens):
            raise ConfigError(
                "policy: language continues prompts, and requires environment: {kind: tokens}, not "
                f"{environment.name}"
            )
        if heads != 1:
            raise ConfigError(f"heads: policy language has no ensemble of heads, so heads must be 1, got {heads}")
        if lora is not None and lora < 0:
            raise ConfigError(f"lora: expected a rank of at least 0, got {lora}")
        self._environment, self._n_conditions, self.lora = environment, n_conditions, lora
        base = environment.language_model
        self.trunk = copy.deepcopy(base).float().requires_grad_(True) if lora is None else with_shared_weights(base)
        if lora:
            _add_adapters(self.trunk, lora)
        self._trains_all = lora is None
        rows = torch.cat([environment.allowed, torch.tensor([environment.end])])
        self._rows: Tensor
        self.register_buffer("_rows", rows, persistent=False)
        head = base.head
        self.head_weight: nn.Parameter | None = None
        self.head_bias: nn.Parameter | None = None
        if not self._trains_all:
            self.head_weight = nn.Parameter(head.weight.detach()[rows].float(), requires_grad=False)
            if head.bias is not None:
                self.head_bias = nn.Parameter(head.bias.detach()[rows].float(), requires_grad=False)
        self.flow_head = nn.Linear(base.width, 1)
        nn.init.zeros_(self.flow_head.weight)
        nn.init.zeros_(self.flow_head.bias)
        self.condition = nn.Linear(n_conditions, base.width) if n_conditions else None
        if self.condition is not None:
            nn.init.zeros_(self.condition.weight)
            nn.init.zeros_(self.condition.bias)
        self._frozen = frozenset(
            name for name, weight in self.named_parameters(remove_duplicate=False) if not weight.requires_grad
        )

    # -- weights -------------------------------------------------------------------------------------------------------

    @property
    def frozen_names(self) -> frozenset[str]:
        return self._frozen

    @property
    def frozen_digest(self) -> str | None:
        file = self._environment.language_model.file
        return None if self._trains_all or file is None else file.sha256

    def reference(self) -> LanguagePolicy:
        """Return the language model without adapters."""
        policy = LanguagePolicy(self._environment, n_conditions=self._n_conditions, lora=0)
        return policy.to(self.flow_head.weight.device).requires_grad_(False)

    # -- reading -------------------------------------------------------------------------------------------------------

    def _read_prompts(self, prompts: Tensor) -> tuple[Memory, Tensor]:
        """Read each distinct prompt once.

        Args:
            prompts: token ids, shape n x condition_size, padded on the left with -1.

        Returns:
            The memory of the n prompts, and the hidden states after them, shape n x width.
        """
        index, group = unique_rows(prompts)
        distinct = prompts[index]
        is_token = distinct >= 0
        longest = int(is_token.sum(1).max())
        memory, hidden = self.trunk.read_prompts(distinct[:, -longest:].clamp(min=0), is_token[:, -longest:])
        return memory.pick(group), hidden[group]

    def _read(self, words: Tensor, longest: int) -> Tensor:
        """Return the hidden states after the first 0, 1, ..., ``longest`` tokens, shape n x (longest + 1) x width.

        Args:
            words: prompts and continuations, shape n x (condition_size + max_tokens).
            longest: number of tokens to read.
        """
        index, group = unique_rows(words)
        distinct, size = words[index], words.shape[1] - self._environment.max_tokens
        memory, last = self._read_prompts(distinct[:, :size])
        hidden = last[:, None]
        if longest:
            tokens = distinct[:, size : size + longest].clamp(min=0)
            hidden = torch.cat([hidden, self.trunk.read(memory, tokens)], 1)
        return hidden[group]

    def _last(self, states: Tensor) -> Tensor:
        """Return the hidden states after whole continuations, shape n x width."""
        count = states[:, -2]
        return self._read(states[:, :-2], int(count.max()))[torch.arange(len(states), device=states.device), count]

    def _logits(self, hidden: Tensor, values: Tensor | None) -> Tensor:
        """Return logits of the actions, shape n x n_actions, float32, of hidden states and conditions of the reward."""
        with torch.autocast(hidden.device.type, enabled=False):
            return self._float_logits(hidden.float(), values)

    def _float_logits(self, hidden: Tensor, values: Tensor | None) -> Tensor:
        if self.condition is not None:
            hidden = hidden + self.condition(condition_values(Context(values)))
        if self._trains_all:
            head = self.trunk.head
            bias = None if head.bias is None else head.bias[self._rows].float()
            return self.trunk.adjust(linear(hidden, head.weight[self._rows].float(), bias))
        assert self.head_weight is not None
        return self.trunk.adjust(linear(hidden, self.head_weight, self.head_bias))

    # -- the policy ----------------------------------------------------------------------------------------------------

    def forward_logits(self, states: Tensor, context: Context | None = None) -> Tensor:
        return self._logits(self._last(states), None if context is None else context.values)

    def backward_logits(self, states: Tensor, context: Context | None = None) -> Tensor:
        """Return zeros, shape n x 1, since each continuation has a single parent."""
        return torch.zeros(len(states), 1, device=states.device)

    def log_flow(self, states: Tensor, context: Context | None = None) -> Tensor:
        return cast("Tensor", self.flow_head(self._last(states)))[:, 0]

    def chosen_steps(
        self, states: Tensor, actions: Tensor, index: Tensor, context: Context | None, uses_flows: bool
    ) -> ChosenSteps:
        n = states.shape[1]
        before = states[:-1].flatten(0, 1)[index]
        count, row = before[:, -2], index % n
        longest = int((states[-1, :, -2] if uses_flows else before[:, -2]).max())
        hidden = self._read(states[-1, :, :-2], longest)
        at = hidden[row, count]
        values = None if context is None or context.values is None else context.values[row]

        def logits(part: Tensor) -> Tensor:
            # the conditions travel behind the hidden states, so that both are divided into the same chunks
            width = self.flow_head.in_features
            return self._logits(part[:, :width], None if values is None else part[:, width:])

        log_pf, log_stop = chosen_log_probs(
            at if values is None else torch.cat([at, values], 1),
            logits,
            lambda part: self._environment.forward_mask(part) | self._environment.is_terminal(part)[:, None],
            before,
            actions.flatten()[index].clamp(min=0),
            self._environment.n_actions,
        )
        after = (count + 1).clamp(max=longest)
        flow = self.flow_head(hidden[row, after])[:, 0] if uses_flows else None
        return ChosenSteps(log_pf, log_stop, flow)

    def start_from(self, states: Tensor) -> _RollOuts | None:
        """Read the prompts of roll-outs; None if some texts have begun, so that each step reads them whole."""
        if bool((states[:, -2] > 0).any()):
            return None
        texts, hidden = self._read_prompts(states[:, : -2 - self._environment.max_tokens])
        return _RollOuts(texts, hidden, torch.arange(len(states), device=states.device))

    def next_logits(
        self, states: Tensor, context: Context | None, memory: _RollOuts | None, rows: Tensor | None
    ) -> Tensor:
        """Return ``forward_logits``, computed from the last tokens only; meaningless for a finished continuation."""
        if memory is None:
            return self.forward_logits(states, context)
        if memory.hidden is not None:
            hidden, memory.hidden = memory.hidden, None
        else:
            if rows is not None and len(rows) < len(memory.rows):
                memory.texts = memory.texts.pick(torch.searchsorted(memory.rows, rows))
                memory.rows = rows
            size = states.shape[1] - 2 - self._environment.max_tokens
            last = states.gather(1, (size - 1 + states[:, -2:-1]).clamp(min=0)).clamp(min=0)
            hidden = self.trunk.read(memory.texts, last)[:, 0]
        return self._logits(hidden, None if context is None else context.values)


def _add_adapters(trunk: LanguageModel, rank: int) -> None:
    """Insert adapters of a rank into the attention layers of a model, in place.

    Raises:
        ConfigError: the package peft is missing.
    """
    try:
        peft: Any = importlib.import_module("peft")
    except ModuleNotFoundError:
        raise ConfigError("lora: adapters require the package peft; pip install 'al-loop[language]'") from None
    config = peft.LoraConfig(
        r=rank, lora_alpha=2 * rank, target_modules=list(trunk.adapter_targets), lora_dropout=0.0, bias="none"
    )
    peft.inject_adapter_in_model(config, trunk)
    for weight in trunk.parameters():
        if weight.requires_grad:  # adapters are small, and their updates smaller than what bfloat16 resolves
            weight.data = weight.data.float()
