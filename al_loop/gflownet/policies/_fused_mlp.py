"""The forward half of an MLP policy as one kernel on a GPU, for roll-outs.

A step of a roll-out has so few rows that a GPU spends its time on starting kernels, and on passing their results
through memory. One kernel looks the inputs up, and keeps the hidden layers on the chip.
"""

from __future__ import annotations

import logging
import math
from functools import cache

import torch
from torch import Tensor
from torch.nn.functional import leaky_relu, linear

try:
    import triton  # type: ignore[import-not-found,unused-ignore]
    import triton.language as tl  # type: ignore[import-not-found,unused-ignore]
except ImportError:  # torch has it where it has CUDA
    HAS_TRITON = False
else:
    HAS_TRITON = True

_log = logging.getLogger(__name__)
#: largest width of the hidden layers, number of actions and of looked-up features: tiles stay in registers
MAX_HIDDEN, MAX_ACTIONS, MAX_FEATURES = 256, 64, 32
_SLOPE = 0.01  # of leaky_relu
_FEW_ROWS = 2048
_MOST_GAP = 0.02  # rounding to bfloat16 makes .004

if HAS_TRITON:

    @triton.jit  # type: ignore[untyped-decorator,unused-ignore]
    def _forward(  # type: ignore[no-untyped-def]
        states,
        offsets,
        first,
        first_bias,
        second,
        second_bias,
        head,
        head_bias,
        out,
        n_rows,
        row_stride,
        n_actions,
        hidden: tl.constexpr,
        n_features: tl.constexpr,
        width: tl.constexpr,
        n_padded: tl.constexpr,
        tile_rows: tl.constexpr,
        tile_inputs: tl.constexpr,
        slope: tl.constexpr,
    ):
        rows = tl.program_id(0) * tile_rows + tl.arange(0, tile_rows)
        is_row = rows < n_rows
        columns = tl.arange(0, width)
        is_column = columns < hidden
        total = tl.zeros((tile_rows, width), dtype=tl.float32)
        for begin in range(0, hidden, tile_inputs):
            inputs = begin + tl.arange(0, tile_inputs)
            is_input = inputs < hidden
            x = tl.zeros((tile_rows, tile_inputs), dtype=tl.float32)
            for j in tl.static_range(n_features):
                index = tl.load(states + rows * row_stride + j, mask=is_row, other=0) + tl.load(offsets + j)
                x += tl.load(first + index[:, None] * hidden + inputs[None, :], mask=is_input[None, :], other=0.0)
            x += tl.load(first_bias + inputs, mask=is_input, other=0.0)[None, :]
            x = tl.where(x > 0, x, slope * x)
            weight = tl.load(
                second + columns[None, :] * hidden + inputs[:, None],
                mask=is_column[None, :] & is_input[:, None],
                other=0.0,
            )
            total = tl.dot(x.to(second.dtype.element_ty), weight, total, input_precision="tf32")
        total += tl.load(second_bias + columns, mask=is_column, other=0.0)[None, :]
        total = tl.where(total > 0, total, slope * total)
        actions = tl.arange(0, n_padded)
        is_action = actions < n_actions
        weight = tl.load(
            head + actions[None, :] * hidden + columns[:, None], mask=is_action[None, :] & is_column[:, None], other=0.0
        )
        logits = tl.dot(total, weight, input_precision="tf32")
        logits += tl.load(head_bias + actions, mask=is_action, other=0.0)[None, :]
        place = rows[:, None] * n_actions + actions[None, :]
        tl.store(out + place, logits, mask=is_row[:, None] & is_action[None, :])

    @torch.library.custom_op("al_loop::fused_mlp", mutates_args=())
    def fused_mlp(
        states: Tensor,
        offsets: Tensor,
        first: Tensor,
        first_bias: Tensor,
        second: Tensor,
        second_bias: Tensor,
        head: Tensor,
        head_bias: Tensor,
    ) -> Tensor:
        """Return the logits of a network with two hidden layers of leaky ReLUs, shape m x n_actions, in float32.

        Products are in the type of ``second``, those of float32 in TF32; sums, and the inputs of the head, in float32.

        Args:
            states: integers, shape m x at least k.
            offsets: offsets that make the first k of them indices of features, shape k.
            first: weights of the first layer by feature, shape n_features x hidden.
            first_bias: its bias, shape hidden.
            second: weights of the second layer, shape hidden x hidden.
            second_bias: its bias, shape hidden.
            head: weights of the head, shape n_actions x hidden.
            head_bias: its bias, shape n_actions.
        """
        m, (n_actions, hidden) = states.shape[0], head.shape
        out = torch.empty(m, n_actions, device=states.device)
        is_half = second.dtype == torch.bfloat16
        tile_rows = 16 if m <= _FEW_ROWS else (64 if is_half else 32)
        _forward[((m + tile_rows - 1) // tile_rows,)](
            states,
            offsets,
            first,
            first_bias,
            second,
            second_bias,
            head,
            head_bias,
            out,
            m,
            states.stride(0),
            n_actions,
            hidden=hidden,
            n_features=len(offsets),
            width=triton.next_power_of_2(max(hidden, 16)),
            n_padded=triton.next_power_of_2(max(n_actions, 16)),
            tile_rows=tile_rows,
            tile_inputs=64 if is_half else 32,
            slope=_SLOPE,
            num_warps=4,
            num_stages=2 if is_half else 3,
        )
        return out

    @fused_mlp.register_fake
    def _shape(states: Tensor, offsets: Tensor, *weights: Tensor) -> Tensor:
        return torch.empty(len(states), len(weights[-1]), device=states.device)


def reference(states: Tensor, offsets: Tensor, *weights: Tensor) -> Tensor:
    """Return what ``fused_mlp`` does for the same arguments, by torch, up to rounding."""
    first, first_bias, second, second_bias, head, head_bias = weights
    with torch.autocast(states.device.type, enabled=False):
        x = leaky_relu(first[states[:, : len(offsets)] + offsets].float().sum(1) + first_bias)
        x = leaky_relu(linear(x.to(second.dtype), second).float() + second_bias)
        logits: Tensor = linear(x, head, head_bias)
    return logits


@cache
def works(
    device: torch.device, dtype: torch.dtype, n_looked_up: int, n_features: int, hidden: int, n_actions: int
) -> bool:
    """Return whether a GPU computes ``fused_mlp`` for networks of a shape, which is tried once; a warning says why not.

    Args:
        device: the GPU.
        dtype: type of the hidden layers' weights.
        n_looked_up: number of features that are 1.
        n_features: number of features.
        hidden: width of the hidden layers.
        n_actions: number of actions.
    """
    if not HAS_TRITON or n_looked_up > MAX_FEATURES or hidden > MAX_HIDDEN or n_actions > MAX_ACTIONS:
        return False
    generator = torch.Generator(device).manual_seed(0)

    def random(*shape: int) -> Tensor:
        values: Tensor = torch.randn(shape, generator=generator, device=device)
        return values / math.sqrt(shape[-1])

    offsets = torch.arange(n_looked_up, device=device) * (n_features // n_looked_up)
    weights = [random(n_features, hidden).to(dtype), random(hidden), random(hidden, hidden).to(dtype), random(hidden)]
    weights += [random(n_actions, hidden), random(n_actions)]
    try:
        for n in (_FEW_ROWS // 100, 2 * _FEW_ROWS):  # both sizes of tiles
            states = torch.randint(n_features // n_looked_up, (n, n_looked_up), generator=generator, device=device)
            found, expected = fused_mlp(states, offsets, *weights), reference(states, offsets, *weights)
            gap = float((found - expected).abs().max() / expected.abs().max())
            if not gap < _MOST_GAP:
                raise RuntimeError(f"its result differs by {gap:.2g} of the largest")
    except Exception as error:  # such as a GPU with too little memory on its chip
        _log.warning("roll-outs compute their policy in several kernels, since one cannot be used: %s", error)
        return False
    return True
