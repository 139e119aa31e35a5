"""The examples in docs/oracles.md work as written, from a folder outside the project."""

import os
import re
import socket
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest
import yaml

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "oracles.md").read_text(encoding="utf-8")
REST = {
    "name": "guide",
    "environment": {"kind": "sequence", "alphabet": "ACGT", "length": 8},
    "features": {"kind": "one_hot"},
}
TOKEN = "token-of-the-lab"
ASK = """
import json, sys, yaml
from al_loop.campaign.building import build_oracle
from al_loop.config import CampaignConfig, load_config
from al_loop.oracles.base import Call, evaluate_all
if overrides := sys.argv[2:]:
    config = load_config("campaign.yaml", overrides)
else:  # the same without building the other parts, which takes seconds
    config = CampaignConfig.model_validate(yaml.safe_load(open("campaign.yaml")))
oracle = build_oracle(config)
oracle.check()
objects = sys.argv[1].split(",")
for o in evaluate_all(oracle, objects, Call({name: f"key of {name}" for name in objects})):
    failure = o.failure and [o.failure.kind, o.failure.reason]
    kept = {name: content.decode() for name, content in o.artifacts.items()}
    print(json.dumps([o.values, failure, o.noise, o.cost, o.info, kept]))
"""


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", GUIDE, flags=re.DOTALL | re.MULTILINE)


def section(oracle):
    """The one YAML snippet whose oracle this is."""
    (found,) = [block for block in blocks("yaml") if oracle in block]
    return found


@pytest.fixture
def folder(tmp_path):
    """Every file of the guide, laid down as it stands."""
    for language in ("python", "sh"):
        for block in blocks(language):
            (tmp_path / block.splitlines()[0].removeprefix("# ")).write_text(block)
    return tmp_path


def run(folder, *arguments, **variables):
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)]), "NO_PROXY": "*", **variables},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def ask(folder, oracle, objects, *overrides, **variables):
    """The answers of an oracle of the guide: values, failure, noise, cost, facts, files of each."""
    (folder / "campaign.yaml").write_text(yaml.safe_dump(REST) + section(oracle))
    return [yaml.safe_load(line) for line in run(folder, "-c", ASK, objects, *overrides, **variables).splitlines()]


def test_it_is_short():
    assert len(GUIDE.splitlines()) <= 160
    assert max(map(len, GUIDE.splitlines())) <= 120


def test_every_oracle_of_the_guide_is_tried_here():
    named = [yaml.safe_load(block)["oracle"] for block in blocks("yaml")]
    tried = ["gc_content:gc_share", "two_values:gc_and_length", "melting:Melting", "melting", "command", "http"]
    assert [part.get("target") or part["kind"] for part in named] == tried


def test_a_function(folder):
    assert [answer[0] for answer in ask(folder, "gc_share", "GCAT,AAAA")] == [[0.5], [0.1]]


def test_a_decorated_function(folder):
    assert [answer[0] for answer in ask(folder, "gc_and_length", "GCAT,AAAAA")] == [[2.0, 4.0], [0.0, 5.0]]


def check_melting(answers):
    """Wallace's rule: 2 degrees for each A or T, 4 for each G or C (Wallace et al. 1979)."""
    assert [answer[0] for answer in answers] == [[12.0], [6.0], None]
    assert [answer[2] for answer in answers] == [[0.4], [0.4], None]
    assert [answer[3] for answer in answers] == [None, 0.5, None]
    assert answers[0][5] == {"curve.csv": "temperature,absorbance\n20,0.1\n"}
    assert answers[2][1] == ["invalid", "'AXXA' is not DNA"]


def test_a_class(folder):
    answers = ask(folder, "melting:Melting", "GCAT,GA,AXXA")
    check_melting(answers)
    assert answers[0][4] == {"salt": 100.0, "order": "key of GCAT"}


def test_an_installed_package(folder):
    (snippet,) = blocks("toml")
    info = folder / "dna_oracles-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: dna-oracles\nVersion: 1.0\n")
    ((group, entries),) = tomllib.loads(snippet)["project"]["entry-points"].items()
    lines = [f"[{group}]", *(f"{name} = {value}" for name, value in entries.items())]
    (info / "entry_points.txt").write_text("\n".join(lines))
    answers = ask(folder, "kind: melting", "GCAT,GA,AXXA")
    check_melting(answers)
    assert answers[0][4]["salt"] == 50.0


def test_a_program(folder):
    answers = ask(folder, "kind: command", "GCAT,AAAA")
    assert [(answer[0], answer[2]) for answer in answers] == [([2.0], [0.5]), ([0.0], [0.5])]
    assert [answer[5] for answer in answers] == [{"2.log": "counted\n"}, {"3.log": "counted\n"}]


def test_a_service(folder):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    service = subprocess.Popen(
        [sys.executable, "service.py"],
        cwd=folder,
        env={**os.environ, "PORT": str(port), "DNA_TOKEN": TOKEN},
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 600
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        url = f"oracle.url=http://127.0.0.1:{port}/score"
        answers = ask(folder, "kind: http", "GCAT,AAAA", url, DNA_TOKEN=TOKEN)
        assert [(answer[0], answer[3]) for answer in answers] == [([2.0], 0.1), ([0.0], 0.1)]
        (refused,) = ask(folder, "kind: http", "GCAT", url, DNA_TOKEN="another one")
        assert refused[1][0] == "environment"
        assert "DNA_TOKEN" in refused[1][1]
    finally:
        service.kill()
        service.wait()


def test_the_contract(folder):
    said = run(folder, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_melting.py")
    assert re.search(r"^\d\d passed", said, flags=re.MULTILINE), said
    assert "skipped" not in said
