"""The log expected improvement of a standard normal variable."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def log_improvement(u: Tensor) -> Tensor:
    """Return log(phi(u) + u Phi(u)), the log expected improvement of a standard normal on -u.

    It is exact far into both tails.

    Below -1 it is log phi(u) + log(1 - |u| Phi(u) / phi(u)), with the ratio from the scaled complementary error
    function; below -1,000 the difference, by then 1 / u² to six digits, would be lost to rounding.
    """
    log_phi = -0.5 * u * u - 0.5 * math.log(2 * math.pi)
    near = u.clamp_min(-1.0)
    direct = ((-0.5 * near * near).exp() / math.sqrt(2 * math.pi) + near * torch.special.ndtr(near)).log()
    size = u.clamp(-1e3, -1.0).neg()
    mills = math.sqrt(math.pi / 2) * torch.special.erfcx(size / math.sqrt(2))
    tail = log_phi + torch.log1p(-size * mills)
    far = log_phi - 2 * u.clamp_max(-1.0).abs().log()
    return torch.where(u > -1, direct, torch.where(u > -1e3, tail, far))
