"""Texts and JSON of oracles, people and services as the ledger stores them."""

from __future__ import annotations

import json
from typing import Any, Final

from al_loop.ledger.schema import clean_json, storable_text
from al_loop.outgoing import printable, redact, redacted, shortened

#: characters of a text and of the JSON of an oracle, a person or a service; the cut is said
LONGEST_TEXT: Final = 10_000
LONGEST_JSON: Final = 1_000_000


def public_text(value: str, longest: int = LONGEST_TEXT) -> str:
    """Return a text of a person, an oracle or a service as the ledger stores it.

    Secrets, control characters and escape sequences are not in it, and what is cut is said.
    """
    return shortened(printable(redact(storable_text(value))), longest)


def public_json(value: object) -> Any:
    """Return ``clean_json`` of a value, whose texts are as ``public_text`` returns them, and of bounded size."""
    content = _public(redacted(clean_json(value)))
    size = len(json.dumps(content))
    if size <= LONGEST_JSON:
        return content
    if isinstance(content, dict):
        kept: dict[str, Any] = {}
        for key, entry in sorted(content.items(), key=lambda item: len(json.dumps(item[1]))):
            if len(json.dumps(kept)) + len(json.dumps(entry)) > LONGEST_JSON:
                break
            kept[key] = entry
        lost = [key for key in content if key not in kept]
        return kept | {"left_out": f"{', '.join(lost)[:200]}: {size:,} characters in all, and at most {LONGEST_JSON:,}"}
    return {"left_out": f"{size:,} characters, and at most {LONGEST_JSON:,}"}


def _public(value: Any) -> Any:
    if isinstance(value, dict):
        return {shortened(printable(key), 1000): _public(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_public(entry) for entry in value]
    return shortened(printable(value), LONGEST_TEXT) if isinstance(value, str) else value
