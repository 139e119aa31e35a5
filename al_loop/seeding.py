"""One seed per random choice."""

from __future__ import annotations

import hashlib


def derive_seed(*names: int | str) -> int:
    """A 63-bit seed for a choice named by e.g. (campaign seed, round, role, step); the same on every machine."""
    digest = hashlib.blake2b("/".join(map(str, names)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1
