"""What travels with a job, and what is refused before anything does."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from zipfile import ZipFile

import pytest
import yaml

from al_loop.actors.jobs.package import JobPackage, _contents, pack, targets
from al_loop.actors.jobs.runtime_env import (
    JobEnvironment,
    refuse_lost_files,
    refuse_lost_ledger,
    refuse_secrets,
    runtime_env,
)
from al_loop.actors.jobs.submit import Cluster, _said, _state
from al_loop.config import CampaignConfig, load_config
from al_loop.errors import CampaignError, ConfigError

CONFIG = """
name: far
environment: {kind: sequence, alphabet: ACGU, length: 5}
oracle: {target: "own_oracle:score"}
features: {kind: joined, parts: [{kind: one_hot}, {target: "own_features:Own"}]}
sampler: {policy: {target: "own_policy:Own"}, searches: [{target: "own_search:Own"}]}
constraints: [{target: "own_property:Own", max: 1}]
"""

SEQUENCE = (
    "name: far\nenvironment: {kind: sequence, alphabet: AC, length: 3}\noracle: {target: 'operator:length_hint'}\n"
)


@pytest.fixture
def config() -> CampaignConfig:
    return CampaignConfig.model_validate(yaml.safe_load(CONFIG))


def test_modules_of_parts_of_every_section_travel(
    config: CampaignConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert {target.split(":")[0] for target in targets(config)} == {
        "own_oracle",
        "own_features",
        "own_policy",
        "own_search",
        "own_property",
    }
    folder, elsewhere = tmp_path / "work", tmp_path / "elsewhere"
    for place, name in ((folder, "own_oracle"), (elsewhere, "own_features"), (elsewhere, "own_policy")):
        place.mkdir(exist_ok=True)
        (place / f"{name}.py").write_text("")
    (elsewhere / "own_search").mkdir()
    (elsewhere / "own_search" / "__init__.py").write_text("")
    for place in (folder, elsewhere):
        monkeypatch.syspath_prepend(str(place))
    (folder / "far.yaml").write_text(CONFIG)
    found = pack(folder / "far.yaml", config).modules
    assert found == (elsewhere / "own_features.py", elsewhere / "own_policy.py", elsewhere / "own_search")


def write(top: Path, *names: str, size: int = 1) -> None:
    for name in names:
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        with (top / name).open("wb") as file:
            file.truncate(size)


def campaign(folder: Path, target: str = "operator:length_hint") -> tuple[Path, CampaignConfig]:
    folder.mkdir(exist_ok=True)
    (folder / "far.yaml").write_text(SEQUENCE.replace("operator:length_hint", target))
    return folder / "far.yaml", load_config(folder / "far.yaml")


def packed_by_ray(described: dict[str, Any], place: str, out: Path) -> set[str]:
    """The files that Ray's own packer puts into the package of a folder."""
    from ray._private.runtime_env.packaging import create_package

    create_package(place, out / "o.zip", include_gitignore=True, excludes=described["excludes"])
    with ZipFile(out / "o.zip") as package:
        return {name for name in package.namelist() if not name.endswith("/")}


def test_secrets_stay_behind(tmp_path: Path) -> None:
    (folder := tmp_path / "work").mkdir()
    secrets = [".env", ".env.local", ".netrc", "_netrc", ".pypirc", ".pgpass", ".ssh/config", ".aws/credentials"]
    secrets += [".gnupg/ring", ".kube/config", "tls.pem", "tls.key", "id_rsa", "id_ed25519.old", "id_ecdsa"]
    write(folder, *secrets, *(f"below/{name}" for name in secrets), "environment.py", "below/keys.csv")
    described = runtime_env(pack(*campaign(folder)), JobEnvironment(), tmp_path)
    assert packed_by_ray(described, str(folder), tmp_path) == {"far.yaml", "environment.py", "below/keys.csv"}


@pytest.mark.parametrize("place", [Path.home(), Path("/")])
def test_a_home_directory_does_not_travel(place: Path, config: CampaignConfig) -> None:
    with pytest.raises(ConfigError, match=r"far\.yaml: .*a folder of its own"):
        pack(place.resolve() / "far.yaml", config)


def test_what_is_looked_through_is_what_ray_packs(tmp_path: Path) -> None:
    """Ignore files, links to folders, and links that lead back, which Ray would follow forty times."""
    folder, outside = tmp_path / "work", tmp_path / "outside"
    write(folder, "a.py", "data/b.csv", "data/c.log", "data/keep/c.log", "cache/d", ".venv/bin/python", "runs/far/lock")
    write(outside, "e.csv", "f/g.csv")
    (folder / ".gitignore").write_text("*.log\n!keep/\n")
    (folder / "cache" / ".gitignore").write_text("*\n")
    (folder / "data" / ".rayignore").write_text("/b.csv\n")
    (folder / "link").symlink_to(outside)
    (folder / "loop [1]").symlink_to(folder)
    (folder / "nowhere").symlink_to(tmp_path / "nowhere")
    (outside / "f" / "back").symlink_to(outside)
    luggage = pack(*campaign(folder))
    names = packed_by_ray(runtime_env(luggage, JobEnvironment(), tmp_path), str(folder), tmp_path)
    assert names == {
        "far.yaml",
        "a.py",
        ".gitignore",
        "data/.rayignore",
        "data/keep/c.log",
        "link/e.csv",
        "link/f/g.csv",
    }
    assert {path.relative_to(folder).as_posix() for path in _contents(folder, 2**30).sizes} == names
    assert luggage.left_behind == ()


def test_large_files_stay_behind_and_no_others(tmp_path: Path) -> None:
    folder = tmp_path / "work"
    large = ["big [1].bin", "#big.bin", "!big.bin", "b*g?.bin", "big.bin ", "a\\b.bin", "data/big.bin", "link/big.bin"]
    small = ["big 1.bin", "b1g2.bin", "big.bin", "ab.bin", "data/small.bin", "link/small.bin"]
    (folder / "data").mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    (folder / "link").symlink_to(tmp_path / "outside")
    write(folder, *large, size=50 * 2**20 + 1)
    write(folder, *small)
    luggage = pack(*campaign(folder))
    assert luggage.left_behind == tuple(sorted(large))
    described = runtime_env(luggage, JobEnvironment(), tmp_path)
    assert packed_by_ray(described, str(folder), tmp_path) == {"far.yaml", *small}


def test_more_than_ray_takes_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder := tmp_path / "work").mkdir()
    (tmp_path / "outside").mkdir()
    (folder / "link").symlink_to(tmp_path / "outside")
    write(folder, "data/a.bin", "data/b.bin", "link/c.bin", size=30 * 2**20)
    write(folder, "d.bin", size=10 * 2**20 - 2000)
    assert pack(*campaign(folder)).left_behind == ()
    write(folder, "e.bin", size=2000)
    with pytest.raises(
        ConfigError, match=r"work .*takes 100\.0 MB.*data/ \(60\.0 MB\), link/ \(30\.0 MB\), d\.bin .*\.gitignore"
    ):
        pack(*campaign(folder))
    write(tmp_path / "other", "vast/__init__.py")
    write(tmp_path / "other", "vast/weights.bin", size=101 * 2**20)
    monkeypatch.syspath_prepend(str(tmp_path / "other"))
    (tmp_path / "small").mkdir()
    with pytest.raises(ConfigError, match=r"other/vast .*weights\.bin \(101\.0 MB\)"):
        pack(*campaign_of(tmp_path / "small", "vast:Score"))


def campaign_of(folder: Path, target: str) -> tuple[Path, CampaignConfig]:
    """A campaign whose target need not be there."""
    config = CampaignConfig.model_validate(yaml.safe_load(CONFIG.replace("own_oracle:score", target)))
    (folder / "far.yaml").write_text("")
    return folder / "far.yaml", config


def test_a_package_below_src_travels_as_a_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "work"
    write(folder, "src/below/__init__.py", "src/below/score.py", "beside/__init__.py", "lib/alone.py", size=0)
    for place in (folder / "src", folder / "lib", folder):
        monkeypatch.syspath_prepend(str(place))
    for target, modules in (
        ("below.score:Score", (folder / "src" / "below",)),
        ("beside:Score", ()),
        ("alone:Score", (folder / "lib" / "alone.py",)),
    ):
        luggage = pack(*campaign_of(folder, target))
        assert luggage.modules == modules
    described = runtime_env(luggage, JobEnvironment(), tmp_path)
    assert packed_by_ray(described, described["py_modules"][-1], tmp_path) == {"__init__.py"}


@pytest.mark.parametrize(
    ("ignored", "target", "said"),
    [
        ("*.yaml", "operator:length_hint", r"work/far\.yaml .*work/\.gitignore names it"),
        ("*_mine.py", "score_mine:Score", r"work/score_mine\.py .*\.gitignore names it"),
        ("deep/", "deep.er.score:Score", r"work/deep/__init__\.py .*\.gitignore names it"),
        ("score.py", "deep.er.score:Score", r"work/deep/er/score\.py .*\.gitignore names it"),
        ("", "runs.score:Score", r"work/runs/score\.py .*nothing of such a name travels"),
        ("/src/", "below.score:Score", None),
        ("score.py", "below.score:Score", None),
    ],
)
def test_what_the_job_needs_is_not_left_behind(
    ignored: str, target: str, said: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What lies below src has an ignore file of its own, if any."""
    folder = tmp_path / "work"
    write(
        folder, "score_mine.py", "deep/__init__.py", "deep/er/score.py", "runs/score.py", "src/below/score.py", size=0
    )
    (folder / ".gitignore").write_text(f"{ignored}\n")
    for place in (folder / "src", folder):
        monkeypatch.syspath_prepend(str(place))
    if said is None:
        assert pack(*campaign_of(folder, target)).modules == (folder / "src" / "below",)
        (folder / "src" / "below" / ".gitignore").write_text(f"{ignored}\nscore.py\n")
        said = r"src/below/score\.py .*src/below/\.gitignore names it"
    with pytest.raises(ConfigError, match=said):
        pack(*campaign_of(folder, target))


@pytest.mark.parametrize(
    ("name", "is_taken"),
    [
        ("queue.py", False),
        ("email/__init__.py", False),
        ("queue.csv", True),
        ("email/inbox.py", True),
        ("data/queue.py", True),
        ("own_queue.py", True),
    ],
)
def test_a_name_of_the_standard_library_is_refused(name: str, is_taken: bool, tmp_path: Path) -> None:
    write(folder := tmp_path / "work", name, size=0)
    if is_taken:
        pack(*campaign(folder))
    else:
        with pytest.raises(ConfigError, match=rf"work/{name.partition('/')[0]} has the name .*rename it"):
            pack(*campaign(folder))


def test_ray_takes_the_description_and_by_default_nothing_is_installed(tmp_path: Path) -> None:
    from ray.runtime_env import RuntimeEnv

    described = runtime_env(JobPackage(tmp_path, excludes=("/big.bin",)), JobEnvironment(), tmp_path)
    assert described["working_dir"] == str(tmp_path)
    assert described["excludes"] == ["/big.bin"]
    assert set(described) == {"working_dir", "py_modules", "excludes", "env_vars"}
    assert int(described["env_vars"]["RAY_JOB_STOP_WAIT_TIME_S"]) >= 30
    RuntimeEnv(**described)


def test_requirements_and_variables_are_handed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ray.runtime_env import RuntimeEnv

    monkeypatch.setenv("PGPASSWORD", "se'cret")
    wanted = tmp_path / "requirements.txt"
    wanted.write_text("# comment\n--extra-index-url https://me:${TOKEN}@host/simple\n\nfoo==1.0  # why\nbar[x]>=2\n")
    described = runtime_env(JobPackage(tmp_path), JobEnvironment(wanted, None, ("PGPASSWORD",)), tmp_path)
    assert described["pip"] == ["--extra-index-url https://me:${TOKEN}@host/simple", "foo==1.0", "bar[x]>=2"]
    assert described["env_vars"]["PGPASSWORD"] == "se'cret"
    RuntimeEnv(**described)


def test_the_projects_own_pins_can_be_installed() -> None:
    pins = Path(__file__).parents[3] / "constraints.txt"
    assert any(line.startswith("torch==") for line in JobEnvironment(pins).packages())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("foo\n-r other.txt\n", "'-r other.txt' .*line 2"),
        ("-cpins.txt\n", "does not stand by itself"),
        ("-e .\n", "does not stand by itself"),
        ("./own\n", "does not stand by itself"),
        ("own @ file:///home/me/own\n", "does not stand by itself"),
        ("--index-url https://me:pw@host/simple\nfoo\n", r"password .*line 1.*--env NAME"),
        ("--index-url https://me:p'w@host/simple\nfoo\n", r"password .*line 1"),
        ("foo\ngit+https://ghp_x@github.com/me/own.git\n", r"token .*line 2.*--env NAME"),
        ("own @ git+https://ghp_x:@github.com/me/own.git@v1\n", r"token .*line 1"),
        ("--index-url=https://tok3n@host/simple\nfoo\n", r"token .*line 1"),
        ("# nothing\n", "no package"),
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


@pytest.mark.parametrize(("ledger", "is_kept"), [(None, False), ("sqlite:////x.db", False), ("postgresql://h/d", True)])
def test_a_ledger_in_a_container_would_be_lost(config: CampaignConfig, ledger: str | None, is_kept: bool) -> None:
    config = config.model_copy(update={"ledger": ledger})
    if is_kept:
        refuse_lost_ledger(config)
    else:
        with pytest.raises(ConfigError, match=r"--image: .*postgresql://"):
            refuse_lost_ledger(config)


@pytest.mark.parametrize(
    ("change", "is_kept"),
    [
        ("ledger: sqlite:///far.db", False),
        ("ledger: 'sqlite://'", False),
        ("ledger: 'sqlite:///file:far.db?uri=true'", False),
        ("ledger: sqlite:////shared/far.db", True),
        ("ledger: 'sqlite:///file:/shared/far.db?uri=true'", True),
        ("ledger: postgresql://host/db", True),
        ("checkpoints: checkpoints", False),
        ("checkpoints: file://checkpoints", False),
        ("checkpoints: file:///shared/checkpoints", True),
        ("checkpoints: /shared/checkpoints", True),
        ("checkpoints: s3://bucket/far", True),
        ("evaluation: {cache: cache.db}", False),
        ("evaluation: {cache: sqlite:///cache.db}", False),
        ("evaluation: {cache: /shared/cache.db}", True),
        ("evaluation: {cache: ~/cache.db}", True),
        ("evaluation: {cache: postgresql://host/db}", True),
        ("seed: 1", True),
    ],
)
def test_a_file_in_the_jobs_own_folder_would_be_lost(change: str, is_kept: bool, tmp_path: Path) -> None:
    (tmp_path / "far.yaml").write_text(f"{SEQUENCE}{change}\n")
    config = load_config(tmp_path / "far.yaml")
    cluster = Cluster.__new__(Cluster)
    cluster.address, cluster._client = "http://nowhere", Recorder()
    if is_kept:
        refuse_lost_files(config)
    else:
        key = "evaluation.cache" if "cache" in change else change.partition(":")[0]
        with pytest.raises(ConfigError, match=rf"^{key}: .* no absolute path, .* e\.g\. .*/shared/"):
            cluster.submit(tmp_path / "far.yaml", config, (), Path("/shared/far"))
        assert not cluster._client.entrypoint


class Recorder:
    """Takes the place of Ray's client, and keeps what it was asked to run."""

    def __init__(self, jobs: Sequence[object] = ()) -> None:
        self.entrypoint, self._jobs = "", jobs

    def list_jobs(self) -> Sequence[object]:
        return self._jobs

    def submit_job(self, *, entrypoint: str, submission_id: str, **_: object) -> str:
        self.entrypoint = entrypoint
        return submission_id


def test_with_an_image_the_config_travels_in_the_command(config: CampaignConfig, tmp_path: Path) -> None:
    text = 'name: far  # it\'s "quoted", $HOME and `x`, 100 %s\n'
    (tmp_path / "far it.yaml").write_text(text)
    cluster = Cluster.__new__(Cluster)
    cluster.address, cluster._client = "http://nowhere", Recorder()
    config = config.model_copy(update={"ledger": "postgresql://h/d"})
    cluster.submit(tmp_path / "far it.yaml", config, ["a=b c"], Path("/shared/far"), JobEnvironment(image="me/own:1"))
    (tools := tmp_path / "tools").mkdir()
    (tools / "python").write_text(f'#!{sys.executable}\nimport sys\nprint(sys.argv[1:], open("far it.yaml").read())\n')
    (tools / "python").chmod(0o755)
    environment = {"PATH": f"{tools}:/usr/bin:/bin", "TMPDIR": str(tmp_path)}
    printed = subprocess.run(
        ["/bin/sh", "-c", cluster._client.entrypoint], env=environment, capture_output=True, text=True, check=True
    ).stdout
    arguments = ["-m", "al_loop.cli", "run", "far it.yaml", "a=b c", "--run-dir", "/shared/far", "--address", "auto"]
    assert printed == f"{arguments} {text}\n"


def test_a_name_that_is_too_long_for_ray_is_refused(config: CampaignConfig, tmp_path: Path) -> None:
    (tmp_path / "far.yaml").write_text("")
    cluster = Cluster.__new__(Cluster)
    cluster.address, cluster._client = "http://nowhere", Recorder()
    longest = config.model_copy(update={"name": 217 * "a"})
    assert len(cluster.submit(tmp_path / "far.yaml", longest, (), Path("/shared/far")).id) == 240
    cluster._client = Recorder()
    with pytest.raises(ConfigError, match=r"^name: 'a+\.\.\. is too long .* 217 characters"):
        cluster.submit(tmp_path / "far.yaml", config.model_copy(update={"name": 218 * "a"}), (), Path("/shared/far"))
    assert not cluster._client.entrypoint


TRACEBACK = """Request failed with status code 500: Traceback (most recent call last):
  File "job_agent.py", line 45, in submit_job
    raise OSError("disk full")
OSError: disk full
."""


@pytest.mark.parametrize(
    ("text", "said"), [(TRACEBACK, "OSError: disk full"), ("no such job\nmore", "no such job"), ("", "RuntimeError")]
)
def test_the_last_line_of_the_job_servers_traceback_is_shown(text: str, said: str) -> None:
    assert _said(RuntimeError(text)) == said


def job(**facts: object) -> Any:
    from ray.job_submission import JobStatus

    status = JobStatus(facts.pop("status", "FAILED"))
    known = {"job_id": None, "start_time": None, "end_time": None, "driver_exit_code": None, "metadata": None}
    return SimpleNamespace(**{**known, "submission_id": "far-1", "status": status, "message": "", **facts})


class Unsteady:
    """Takes the place of Ray's client; connections break, ``n_broken`` of them after each one that holds."""

    def __init__(self, n_broken: int, n_lines: int) -> None:
        self._n_broken, self._n_lines, self._n_calls, self._n_held = n_broken, n_lines, 0, 0

    async def tail_job_logs(self, job_id: str) -> AsyncIterator[str]:
        self._n_calls += 1
        is_broken = self._n_calls % (self._n_broken + 1) > 0
        self._n_held += not is_broken
        yield "".join(f"line {i}\n" for i in range(self._n_held))
        if is_broken:
            raise ConnectionError("broken")

    def get_job_info(self, job_id: str) -> Any:
        has_ended = self._n_held == self._n_lines
        return job(status="SUCCEEDED" if has_ended else "RUNNING", driver_exit_code=0 if has_ended else None)


@pytest.mark.parametrize(("n_broken", "is_lost"), [(0, False), (1, False), (4, False), (5, True)])
def test_a_job_is_followed_until_five_connections_in_a_row_break(
    n_broken: int, is_lost: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("al_loop.actors.jobs.submit._POLL_S", 0.0)
    monkeypatch.setattr("al_loop.actors.jobs.submit._RETRY_S", 0.0)
    cluster = Cluster.__new__(Cluster)
    cluster.address, cluster._client = "http://nowhere", Unsteady(n_broken, n_lines=12)
    written: list[str] = []
    if is_lost:
        with pytest.raises(CampaignError, match="lost sight of the job far-1: broken"):
            cluster.follow("far-1", written.append)
    else:
        assert cluster.follow("far-1", written.append) == 0
        assert "".join(written) == "".join(f"line {i}\n" for i in range(12))


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("Job is currently running.", ""),
        ("Job entrypoint command failed with exit code 1, last available logs:\nTraceback", ""),
        ("Job supervisor actor died: the node is gone\nmore", "Job supervisor actor died: the node is gone"),
        (
            "runtime_env setup failed: Failed.\n[Node 1] Traceback\n  raise\n  ERROR: no distribution for foo\n",
            "runtime_env setup failed: ERROR: no distribution for foo",
        ),
        ("runtime_env setup failed: Failed.\nOSError: disk full", "runtime_env setup failed: OSError: disk full"),
    ],
)
def test_what_ray_says_of_a_job_is_a_line(message: str, shown: str) -> None:
    assert _state(job(message=message)).message == shown


def test_a_campaigns_name_means_its_newest_job() -> None:
    def of(name: str, number: int) -> Any:
        return job(submission_id=f"{name}-{number}", start_time=number, metadata={"al_loop_campaign": name})

    cluster = Cluster.__new__(Cluster)
    cluster.address, cluster._client = "http://head", Recorder([of("far", 1), of("far", 3), of("near", 2), job()])
    assert cluster.find("far").id == "far-3"
    assert cluster.find("far-1").id == "far-1"
    with pytest.raises(ConfigError, match=r"'far-1x' .*known there: far \(far-3, failed\), near \(near-2, failed\)$"):
        cluster.find("far-1x")
    with pytest.raises(ConfigError, match="neither a campaign nor a job"):
        cluster.find("")


@pytest.mark.parametrize(
    ("more", "overrides", "where"),
    [
        ("ledger: postgresql://me:hunter2@host/db\n", (), r"far.yaml, line 4"),
        ("ledger: postgresql+psycopg://me:hun/ter2@host/db\n", (), r"far.yaml, line 4"),
        ("ledger: postgresql://host/db?password=hunter2\n", (), r"far.yaml, line 4"),
        ("evaluation: {cache: 'postgresql://me:hunter2@host/db'}\n", (), r"far.yaml, line 4"),
        ("# ledger: postgresql://me:hunter2@host/db\n", (), r"far.yaml, line 4"),
        ("", ("ledger=postgresql://me:hunter2@host/db",), "ledger on the command line"),
        ("ledger: 'postgresql://me:hun<ter2@host/db'\n", (), r"far.yaml, line 4"),
        ('ledger: "postgresql://me:hun\'ter2@host/db"\n', (), r"far.yaml, line 4"),
        ("ledger: 'postgresql://me:hun\"ter2@host/db'\n", (), r"far.yaml, line 4"),
        ("ledger: 'postgresql://me:hun ter2@host/db'\n", (), r"far.yaml, ledger"),
        ("ledger: 'postgresql://me:hun ter2@host/db'\n", ("ledger=null",), r"far.yaml, ledger"),
        ("ledger: >-\n  postgresql://me:hun\n  ter2@host/db\n", (), r"far.yaml, ledger"),
        ("evaluation: {cache: 'postgresql://me:hun ter2@host/db'}\n", (), r"far.yaml, evaluation.cache"),
        ("", ("ledger=postgresql://me:hun ter2@host/db",), "ledger on the command line"),
        ("", ("evaluation={cache: 'postgresql://me:hun ter2@host/db'}",), "evaluation.cache"),
    ],
)
def test_a_password_in_a_url_is_refused(more: str, overrides: tuple[str, ...], where: str, tmp_path: Path) -> None:
    (tmp_path / "far.yaml").write_text(SEQUENCE + more)
    config = load_config(tmp_path / "far.yaml", overrides)
    with pytest.raises(ConfigError, match=f"{where}.*PGPASSWORD") as caught:
        refuse_secrets(tmp_path / "far.yaml", config, overrides)
    assert "ter2" not in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("url", ["postgresql://me@host:5432/db", "sqlite:////shared/a:b@c.db", "postgresql:///db"])
def test_a_url_without_a_password_is_taken(url: str, tmp_path: Path) -> None:
    (tmp_path / "far.yaml").write_text(f"{SEQUENCE}ledger: {url}\n# see http://host:8265/a@b, s3://bucket/a\n")
    refuse_secrets(tmp_path / "far.yaml", load_config(tmp_path / "far.yaml"), ())
