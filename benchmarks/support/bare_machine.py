"""Stand-in for pydantic where it is not installed, as on a lent GPU machine; import this before al_loop's surrogates.

Surrogates, acquisitions and selectors only annotate their arguments with ``pydantic.Field``.
"""

from __future__ import annotations

import importlib.util
import sys
import types

if importlib.util.find_spec("pydantic") is None:
    sys.modules["pydantic"] = types.ModuleType("pydantic")
    sys.modules["pydantic"].Field = lambda *_, **__: None  # type: ignore[attr-defined]
