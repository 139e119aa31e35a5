"""The runtime environment of a job."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from al_loop.actors.jobs.package import JobPackage
from al_loop.actors.jobs.runtime_env import JobEnvironment, runtime_env
from al_loop.errors import ConfigError


def test_ray_takes_the_description_and_by_default_nothing_is_installed(tmp_path: Path) -> None:
    from ray.runtime_env import RuntimeEnv

    description = runtime_env(JobPackage(tmp_path), JobEnvironment(), tmp_path)
    assert set(description) == {"working_dir", "py_modules", "env_vars"}
    assert int(description["env_vars"]["RAY_JOB_STOP_WAIT_TIME_S"]) >= 30
    RuntimeEnv(**description)


def test_al_loop_travels_as_one_package_with_what_is_linked_into_it(tmp_path: Path) -> None:
    (folder,) = map(Path, runtime_env(JobPackage(tmp_path), JobEnvironment(), tmp_path)["py_modules"])
    assert folder.name == "al_loop"
    environment = {"PYTHONPATH": str(folder.parent), "PATH": "/usr/bin:/bin"}
    code = "import al_loop.oracles.rdkit_properties, al_loop.actors.local as l; print(l.__file__)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.stdout == f"{folder}/actors/local.py\n", done.stderr


def test_requirements_and_variables_are_handed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ray.runtime_env import RuntimeEnv

    monkeypatch.setenv("PGPASSWORD", "se'cret")
    wanted = tmp_path / "requirements.txt"
    wanted.write_text("# comment\n--extra-index-url https://me:${TOKEN}@host/simple\n\nfoo==1.0  # why\nbar[x]>=2\n")
    description = runtime_env(JobPackage(tmp_path), JobEnvironment(wanted, None, ("PGPASSWORD",)), tmp_path)
    assert description["pip"] == ["--extra-index-url https://me:${TOKEN}@host/simple", "foo==1.0", "bar[x]>=2"]
    assert description["env_vars"]["PGPASSWORD"] == "se'cret"
    RuntimeEnv(**description)


def test_the_projects_own_pins_can_be_installed() -> None:
    pins = Path(__file__).parents[3] / "constraints.txt"
    assert any(line.startswith("torch==") for line in JobEnvironment(pins).packages())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("foo\n-r other.txt\n", "'-r other.txt' .*line 2"),
        ("-cpins.txt\n", "refers to this machine"),
        ("-e .\n", "refers to this machine"),
        ("./own\n", "refers to this machine"),
        ("own @ file:///home/me/own\n", "refers to this machine"),
        ("--index-url https://me:pw@host/simple\nfoo\n", r"password .*line 1.*--env NAME"),
        ("--index-url https://me:p'w@host/simple\nfoo\n", r"password .*line 1"),
        ("foo\ngit+https://ghp_x@github.com/me/own.git\n", r"token .*line 2.*--env NAME"),
        ("own @ git+https://ghp_x:@github.com/me/own.git@v1\n", r"token .*line 1"),
        ("--index-url=https://tok3n@host/simple\nfoo\n", r"token .*line 1"),
        ("# nothing\n", "lists no package"),
    ],
)
def test_requirements_that_the_cluster_could_not_install_are_refused(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "r.txt").write_text(text)
    with pytest.raises(ConfigError, match=said):
        JobEnvironment(tmp_path / "r.txt")


@pytest.mark.parametrize(
    "line",
    [
        "git+https://${TOKEN}@github.com/me/own.git@v1",
        "--extra-index-url https://me:${TOKEN}@host/simple",
        "own @ git+ssh://git@github.com/me/own.git@v1",
        "own @ https://host:8443/a@1.0/own.whl",
        "own @ git+https://host:8443/me/own.git@v1",
    ],
)
def test_a_url_without_a_secret_can_be_installed(line: str, tmp_path: Path) -> None:
    (tmp_path / "r.txt").write_text(f"{line}\n")
    assert JobEnvironment(tmp_path / "r.txt").packages() == [line]


def test_a_missing_requirements_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read"):
        JobEnvironment(tmp_path / "r.txt")


@pytest.mark.parametrize(
    ("name", "said"),
    [("AL_LOOP_NOT_SET", "AL_LOOP_NOT_SET is not set here"), ("PGPASSWORD=secret", "the name of a variable only")],
)
def test_a_variable_is_named_and_is_set_here(name: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        JobEnvironment(variables=(name,))
    assert "secret" not in str(caught.value)


def test_ray_allows_only_variables_beside_an_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ray.runtime_env import RuntimeEnv

    monkeypatch.setenv("OWN", "1")
    described = runtime_env(None, JobEnvironment(image="me/own:1", variables=("OWN",)), tmp_path)
    assert described["image_uri"] == "me/own:1"
    assert described["env_vars"]["OWN"] == "1"
    RuntimeEnv(**described)
    (tmp_path / "r.txt").write_text("foo\n")
    with pytest.raises(ConfigError, match="--requirements"):
        JobEnvironment(tmp_path / "r.txt", "me/own:1")
    monkeypatch.setenv("OWN", "it's")
    with pytest.raises(ConfigError, match="OWN has a quote"):
        JobEnvironment(image="me/own:1", variables=("OWN",))
