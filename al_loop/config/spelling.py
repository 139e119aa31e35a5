"""British and American spellings of one word, as in ``optimise`` and ``optimize``."""

from __future__ import annotations

import re
from collections.abc import Iterable

#: endings and stems of which one spelling is chosen, so that two spellings of a word become the same text
_RULES = (
    (r"is(e|ed|er|ers|es|ing|ation|ations|able)(?=_|-|$)", r"iz\1"),
    (r"ys(e|ed|er|es|ing)(?=_|-|$)", r"yz\1"),
    (r"our", "or"),
    (r"(l)l(ed|ing|er|ers)(?=_|-|$)", r"\1\2"),
    (r"(cent|met|lit|fib|spect)re(s?)(?=_|-|$)", r"\1er\2"),
    (r"ogue(s?)(?=_|-|$)", r"og\1"),
    (r"(def|off|lic)ence", r"\1ense"),
    (r"grey", "gray"),
    (r"aluminium", "aluminum"),
    (r"sulph", "sulf"),
    (r"programme", "program"),
)


def same_word(name: str, names: Iterable[str]) -> str | None:
    """Return the one of several names that is a given name in British or American spelling, or None.

    Args:
        name: a name that is not among the others.
        names: the valid names.
    """
    key = _american(name)
    matches = [other for other in names if _american(other) == key]
    return matches[0] if len(matches) == 1 else None


def _american(name: str) -> str:
    text = name.casefold()
    for pattern, replacement in _RULES:
        text = re.sub(pattern, replacement, text)
    return text
