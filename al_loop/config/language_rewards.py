"""The rewards of ``al-loop tune-language``, by the names that its config uses."""

from __future__ import annotations

from collections.abc import Mapping

#: kinds and what each is
LANGUAGE_REWARDS: Mapping[str, str] = {
    "continuation": "The model's likelihood of the continuation of a prompt.",
    "infill": "The model's likelihood of a text with a filled gap.",
    "chain": "The model's likelihood of a chain of reasoning between a question and its known answer.",
    "checked": "A function of the text, such as a property of the molecule that it names.",
}
