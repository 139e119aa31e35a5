"""Texts that a language model writes token by token, as continuations of prompts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from al_loop.datafiles.object_lists import read_texts
from al_loop.environments.base import Environment, ObjectType
from al_loop.errors import ConfigError, counted
from al_loop.language_models.base import LanguageModel
from al_loop.language_models.calculator import Calculator
from al_loop.language_models.loading import DtypeName, load_language_model
from al_loop.language_models.tokenizers import Tokenizer
from al_loop.smiles import canonical_smiles
from al_loop.system.path_texts import PathOrName, PathText

_NOTHING = -1  # in a state: no token


class Tokens(Environment):
    """Continuations of prompts, built token by token from the vocabulary of a language model.

    A state contains the prompt (token ids, padded on the left), the continuation (token ids, padded on the right), the
    number of its tokens, and whether it was stopped. So token ids are the object, and texts occur only at the border:
    several continuations may have one text. A continuation of ``max_tokens`` tokens ends without being stopped.

    With a tool, the tool's tokens are the only ones allowed where it writes, so that they have probability 1.

    Molecules are decoded to canonical SMILES; a text that is not a molecule is decoded as it is.

    Args:
        model: the language model, see ``load_language_model``: the name of an installed one (``annalog``,
            ``smollm2``), or the path of a file or folder.
        prompts: the prompts: a file with one per line (or a .smi file), or a list of texts. With ``annalog``, these are
            the molecules whose analogues are drawn.
        max_tokens: largest number of tokens of a continuation.
        min_tokens: smallest number.
        end: the text of the token that ends a continuation, such as ``"."``; None: the model's own.
        allowed: texts of the only tokens that may occur; None: all but special ones.
        forbidden: texts of tokens that must not occur.
        dtype: dtype of the model's weights; log-probabilities are always float32.
        tool: ``calculator``: after each "=" that follows an expression of integers, its value is written; None: the
            model writes all.

    Raises:
        ConfigError: the model or the file is missing, or a prompt does not fit the model.
        ValueError: a length is out of range, a text is not a single token, or no token is allowed.
    """

    kind = "tokens"
    object_type: ObjectType = "other"  # type: ignore[misc]  # that of the model
    default_policy = "language"
    random_policy = "language"
    trajectories_per_condition = 8
    n_backward_actions = 1

    def __init__(
        self,
        model: PathOrName,
        prompts: PathText | list[str],
        max_tokens: int,
        min_tokens: int = 1,
        end: str | None = None,
        allowed: list[str] | None = None,
        forbidden: list[str] | None = None,
        dtype: DtypeName = "float32",
        tool: Literal["calculator"] | None = None,
    ) -> None:
        self.model_name, self.dtype = model, dtype
        self._language_model = language_model = load_language_model(model, dtype)
        tokenizer = language_model.tokenizer
        self.object_type = language_model.object_type
        if max_tokens < 1:
            raise ValueError(f"max_tokens: must be at least 1, got {max_tokens}")
        if not 0 <= min_tokens <= max_tokens:
            raise ValueError(f"min_tokens: must be between 0 and max_tokens ({max_tokens}), got {min_tokens}")
        limit = language_model.max_tokens
        if limit is not None and max_tokens > limit:
            raise ValueError(f"max_tokens: the model {model} writes at most {limit} tokens, got {max_tokens}")
        self.min_tokens, self.max_tokens = min_tokens, max_tokens
        self.end = tokenizer.end if end is None else _token(tokenizer, "end", end)
        banned = {_token(tokenizer, "forbidden", text) for text in forbidden or ()} | {self.end}
        chosen = set(range(tokenizer.size)) - tokenizer.special
        if allowed is not None:
            chosen = {_token(tokenizer, "allowed", text) for text in allowed}
        if not chosen - banned:
            raise ValueError("allowed: no token is left besides the end")
        #: ids of the tokens that may occur; action i writes the i-th of them
        self.allowed = torch.tensor(sorted(chosen - banned))
        self._arguments: dict[str, Any] = {
            "max_tokens": max_tokens,
            "min_tokens": min_tokens,
            "end": end,
            "allowed": allowed,
            "forbidden": forbidden,
            "dtype": dtype,
            "tool": tool,
        }
        self.reads_from_device = tool is not None
        self._calculator = None if tool is None else Calculator(tokenizer, self.allowed.tolist())
        self.prompts = read_texts(prompts) if isinstance(prompts, str) else list(prompts)
        if self.object_type == "molecule":
            self.prompts = [text.strip() for text in self.prompts]
        if not self.prompts:
            raise ConfigError("prompts: expected at least one")
        self.n_conditions = len(self.prompts)
        rows = [self._encode_prompt(text) for text in self.prompts]
        self.condition_size = max(map(len, rows))
        #: token ids of the prompts, padded on the left with -1, shape n_prompts x condition_size
        self.prompt_tokens = torch.tensor([[_NOTHING] * (self.condition_size - len(row)) + row for row in rows])
        self.n_actions = len(self.allowed) + 1
        self.state_size = self.condition_size + max_tokens + 2
        self.max_steps = max_tokens
        self.n_features = len(self.prompts) + max_tokens * self.n_actions

    def __reduce__(self) -> tuple[Any, ...]:
        # another process loads the model by its name, once
        return _build, (self.model_name, self.prompts, self._arguments)

    def __deepcopy__(self, _: object) -> Tokens:
        return self  # it never changes

    def _encode_prompt(self, text: str) -> list[int]:
        try:
            row = self._language_model.tokenizer.encode_prompt(text)
        except ValueError as error:
            raise ConfigError(f"prompts: {error}") from None
        self.check_room(text, len(row))
        return row

    def check_room(self, text: str, n_before: int, n_after: int = 0) -> None:
        """Check that the model can read a prompt, a continuation of any length, and what follows it.

        Args:
            text: the prompt, for the message.
            n_before: its number of tokens.
            n_after: number of tokens that follow a continuation.

        Raises:
            ConfigError: they are too long.
        """
        model = self._language_model
        if model.max_prompt is not None and n_before > model.max_prompt:
            limit = f"the model reads at most {model.max_prompt}"
        elif model.context is not None and n_before + self.max_tokens + n_after > model.context:
            follow = f" and {counted(n_after, 'token')} after it" if n_after else ""
            limit = (
                f"with a continuation of max_tokens={self.max_tokens}{follow} it exceeds the {model.context} tokens "
                "that the model reads; allow fewer tokens, or shorten it"
            )
        else:
            return
        raise ConfigError(f"prompts: {text!r:.80} has {counted(n_before, 'token')}, and {limit}")

    @property
    def language_model(self) -> LanguageModel:
        """The language model, whose weights are frozen."""
        return self._language_model

    def settings(self) -> dict[str, Any]:
        """Return the arguments besides the model and the prompts that build this environment again."""
        return dict(self._arguments)

    def with_prompts(self, prompts: Sequence[str]) -> Tokens:
        """Return the same environment with other prompts."""
        return Tokens(self.model_name, list(prompts), **self._arguments)

    # -- starts --------------------------------------------------------------------------------------------------------

    def start(self, index: Tensor) -> Tensor:
        """Return the initial states of prompts, shape n x state_size.

        Args:
            index: indices of the prompts, shape n.
        """
        prompts = self.prompt_tokens.to(index.device)[index]
        rest = torch.zeros(len(index), self.max_tokens + 2, dtype=torch.int64, device=index.device)
        rest[:, : self.max_tokens] = _NOTHING
        return torch.cat([prompts, rest], 1)

    def sample_starts(self, n: int, repeats: int, generator: torch.Generator) -> Tensor:
        """Return initial states of prompts drawn uniformly, each for ``repeats`` successive rows."""
        n_draws = -(-n // repeats)
        index = torch.randint(len(self.prompts), (n_draws,), generator=generator, device=generator.device)
        return self.start(index.repeat_interleave(repeats)[:n])

    def initial(self, n: int, device: torch.device | str = "cpu") -> Tensor:
        """Return n initial states of the first prompt."""
        return self.start(torch.zeros(n, dtype=torch.int64, device=device))

    # -- steps ---------------------------------------------------------------------------------------------------------

    def step(self, states: Tensor, actions: Tensor) -> Tensor:
        is_stop = actions == self.n_actions - 1
        tokens = self.allowed.to(states.device)[actions.clamp(max=self.n_actions - 2)]
        # the difference between a token and none, at the first free place; 0 if nothing is written
        change = torch.where(is_stop, 0, tokens - _NOTHING)
        place = self.condition_size + states[:, -2:-1].clamp(max=self.max_tokens - 1)
        after = states.scatter_add(1, place, change[:, None])
        after[:, -2] += ~is_stop
        after[:, -1] += is_stop
        return after

    def backward_step(self, states: Tensor, backward_actions: Tensor) -> Tensor:
        before = states.clone()
        count = states[:, -2:-1] + states[:, -1:] - 1
        written = before[:, self.condition_size : -2]
        written.masked_fill_(torch.arange(self.max_tokens, device=states.device) >= count, _NOTHING)
        before[:, -2:-1] = count
        before[:, -1] = 0
        return before

    def backward_action(self, states: Tensor, actions: Tensor) -> Tensor:
        return torch.zeros_like(actions)

    def forward_action(self, states: Tensor, backward_actions: Tensor) -> Tensor:
        """Return the action that wrote the last token, or stop, shape n."""
        place = self.condition_size + (states[:, -2:-1] - 1).clamp(min=0)
        action = torch.searchsorted(self.allowed.to(states.device), states.gather(1, place)[:, 0].contiguous())
        return torch.where(states[:, -1] == 1, self.n_actions - 1, action)

    def forward_mask(self, states: Tensor) -> Tensor:
        """Return all tokens below the full length, and stop from ``min_tokens`` on."""
        count = states[:, -2:-1]
        may_grow = (count < self.max_tokens) & (states[:, -1:] == 0)
        mask = may_grow.expand(-1, self.n_actions).clone()
        mask[:, -1:] &= count >= self.min_tokens
        if self._calculator is not None:
            self._leave_only_the_tools_tokens(states, mask, self._calculator)
        return mask

    def _leave_only_the_tools_tokens(self, states: Tensor, mask: Tensor, calculator: Calculator) -> None:
        """Forbid all other actions where the calculator writes, in place."""
        size = self.condition_size
        for i, row in enumerate(states.tolist()):
            if row[-1] or row[-2] == self.max_tokens:
                continue
            token = calculator.next_token([t for t in row[:size] if t >= 0], row[size : size + row[-2]])
            if token is not None:
                mask[i] = False
                mask[i, int(torch.searchsorted(self.allowed, token))] = True

    def backward_mask(self, states: Tensor) -> Tensor:
        return (states[:, -2:-1] + states[:, -1:]) > 0

    def is_terminal(self, states: Tensor) -> Tensor:
        return (states[:, -2] == self.max_tokens) | (states[:, -1] == 1)

    def features(self, states: Tensor) -> Tensor:
        """Return the one-hot prompt, then the one-hot tokens, including "none"; for vocabularies of a few tokens."""
        prompts = self.prompt_tokens.to(states.device)
        which = (states[:, None, : self.condition_size] == prompts).all(-1).float()
        written = states[:, self.condition_size : -2]
        index = torch.searchsorted(self.allowed.to(states.device), written.contiguous())
        index = torch.where(written == _NOTHING, self.n_actions - 1, index)
        empty = torch.zeros(len(states), self.max_tokens, self.n_actions, device=states.device)
        return torch.cat([which, empty.scatter_(2, index[..., None], 1.0).flatten(1)], 1)

    def log_paths(self, states: Tensor) -> Tensor:
        return torch.zeros(states.shape[0], dtype=torch.float64, device=states.device)

    # -- texts ---------------------------------------------------------------------------------------------------------

    def texts(self, states: Tensor) -> list[str]:
        """Return the texts of continuations, finished or not, as the model wrote them."""
        tokenizer, size = self._language_model.tokenizer, self.condition_size
        return [tokenizer.decode(row[size : size + row[-2]]) for row in states.tolist()]

    def decode(self, states: Tensor) -> list[str]:
        """Return canonical SMILES if the model writes molecules, otherwise the texts."""
        texts = self.texts(states)
        if self.object_type != "molecule":
            return texts
        return [canonical_smiles(text) or text for text in texts]

    def is_valid(self, name: str) -> bool:
        return self.object_type != "molecule" or canonical_smiles(name) is not None

    def encode(self, objects: Sequence[str]) -> Tensor:
        """Return terminal states of texts as continuations of the first prompt; see ``finished`` for others."""
        return self.finished(objects, torch.zeros(len(objects), dtype=torch.int64))

    def finished(self, objects: Sequence[str], index: Tensor) -> Tensor:
        """Return terminal states of texts.

        Args:
            objects: n texts.
            index: the index of each one's prompt, shape n.

        Raises:
            ValueError: a text has a token that is not allowed, or too few or too many of them, or not what the tool
                writes.
        """
        rows = [self._language_model.tokenizer.encode(text) for text in objects]
        allowed = set(self.allowed.tolist())
        for row, name in zip(rows, objects, strict=True):
            if not self.min_tokens <= len(row) <= self.max_tokens:
                length = f"{self.min_tokens} to {self.max_tokens}"
                raise ValueError(f"{name!r:.80} has {counted(len(row), 'token')}, not {length}")
            if any(token not in allowed for token in row):
                raise ValueError(f"{name!r:.80} has a token that is not allowed")
        states = self.start(index)
        for state, row in zip(states, rows, strict=True):
            state[self.condition_size : self.condition_size + len(row)] = torch.tensor(row, dtype=torch.int64)
            state[-2], state[-1] = len(row), int(len(row) < self.max_tokens)
        if self._calculator is not None:
            for state, row, name in zip(states.tolist(), rows, objects, strict=True):
                prompt = [token for token in state[: self.condition_size] if token >= 0]
                for end in range(len(row) + state[-1]):
                    token = self._calculator.next_token(prompt, row[:end])
                    if token is not None and token not in row[end : end + 1]:
                        raise ValueError(f"{name!r:.80} differs from what the calculator writes")
        return states

    def vocabulary(self) -> list[Any]:
        file = self._language_model.file
        tokens = [self.end, *self.allowed.tolist()]
        return [type(self._language_model).__name__ if file is None else file.sha256, *tokens]

    def describe(self) -> str:
        return f"{self.name} ({self.model_name}, {counted(self.n_actions - 1, 'token')})"


def _token(tokenizer: Tokenizer, key: str, text: str) -> int:
    """Return the token that has exactly a text.

    Raises:
        ValueError: the text is not a single token; the message begins with the key that has it.
    """
    try:
        return tokenizer.token(text)
    except ValueError as error:
        raise ValueError(f"{key}: {error}") from None


def _build(model: str, prompts: list[str], arguments: dict[str, Any]) -> Tokens:
    return Tokens(model, prompts, **arguments)
