"""The styles, scripts and libraries of the pages, from the package's data."""

from __future__ import annotations

import base64
import gzip
import hashlib
from collections.abc import Sequence
from functools import cache
from importlib.resources import files

_DATA = files("al_loop.report") / "data"
#: drawing, for all pages with charts
CHART_LIBRARIES = ("d3.min.js", "plot.umd.min.js")
RDKIT = ("rdkit-js", "RDKit_minimal.js"), ("rdkit-wasm", "RDKit_minimal.wasm")


@cache
def text(name: str) -> str:
    """Return a file of the pages, such as ``core.js``; libraries are stored compressed."""
    return content(name).decode()


def content(name: str) -> bytes:
    """Return the bytes of a file of the pages; libraries are stored compressed."""
    packed = _DATA / f"{name}.gz"
    return gzip.decompress(packed.read_bytes()) if packed.is_file() else (_DATA / name).read_bytes()


@cache
def packed_library(name: str) -> str:
    """Return a library as it is stored, compressed, in base 64."""
    return base64.b64encode((_DATA / f"{name}.gz").read_bytes()).decode()


def pack(data: bytes) -> str:
    """Return bytes compressed by gzip, in base 64."""
    return base64.b64encode(gzip.compress(data, 6, mtime=0)).decode()


def script_source(script: str) -> str:
    """Return the entry of a content security policy that allows exactly this script."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def policy(scripts: Sequence[str], *, has_rdkit: bool = False, connects: bool = False) -> str:
    """Return the content security policy of a page: these scripts run, and nothing is loaded from elsewhere.

    Args:
        scripts: the texts of the scripts, those that are unpacked later included.
        has_rdkit: whether the page contains RDKit, whose bindings make functions from text.
        connects: whether the page asks the server that it came from for news.
    """
    eval_ = " 'unsafe-eval'" if has_rdkit else ""
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src {' '.join(map(script_source, scripts))} 'wasm-unsafe-eval'{eval_}",
            "style-src 'unsafe-inline'",  # drawings have styles in their elements
            "img-src data: blob:",
            "connect-src 'self'" if connects else "connect-src 'none'",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )
