"""Derivation of one seed for each random choice from the campaign's seed."""

from __future__ import annotations

import hashlib


def derive_seed(*names: int | str) -> int:
    """Return a 63-bit seed for one random choice; the same on every machine.

    Args:
        names: the identity of the choice, e.g. campaign seed, round, role and step.
    """
    digest = hashlib.blake2b("/".join(map(str, names)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1
