"""The files of a folder that travel with a job."""

from __future__ import annotations

from pathlib import Path

from al_loop.actors.jobs.contents import list_contents
from al_loop.actors.jobs.package import pack
from tests.support.jobs import campaign, uploaded, write


def test_secrets_stay_behind(tmp_path: Path) -> None:
    (folder := tmp_path / "work").mkdir()
    secrets = [".env", ".env.local", ".netrc", "_netrc", ".pypirc", ".pgpass", ".ssh/config", ".aws/credentials"]
    secrets += [".gnupg/ring", ".kube/config", "tls.pem", "tls.key", "id_rsa", "id_ed25519.old", "id_ecdsa"]
    write(folder, *secrets, *(f"below/{name}" for name in secrets), "environment.py", "below/keys.csv")
    assert uploaded(pack(*campaign(folder)), tmp_path) == {"far.yaml", "environment.py", "below/keys.csv"}


def test_ignore_files_and_links_are_obeyed(tmp_path: Path) -> None:
    """Links to folders are followed, but not those that lead back; ignore files count in each folder, as git's do."""
    folder, outside = tmp_path / "work", tmp_path / "outside"
    write(folder, "a.py", "data/b.csv", "data/c.log", "data/keep/c.log", "cache/d", ".venv/bin/python", "runs/far/lock")
    write(outside, "e.csv", "f/g.csv")
    (folder / ".gitignore").write_text("*.log\n!keep/*.log\n!data/keep/*.log\n")
    (folder / "cache" / ".gitignore").write_text("*\n")
    (folder / "data" / ".rayignore").write_text("/b.csv\n")
    (folder / "link").symlink_to(outside)
    (folder / "loop [1]").symlink_to(folder)
    (folder / "nowhere").symlink_to(tmp_path / "nowhere")
    (outside / "f" / "back").symlink_to(outside)
    package = pack(*campaign(folder))
    names = {
        "far.yaml",
        "a.py",
        ".gitignore",
        "data/.rayignore",
        "data/keep/c.log",
        "link/e.csv",
        "link/f/g.csv",
    }
    assert uploaded(package, tmp_path) == names
    assert {path.relative_to(folder).as_posix() for path in list_contents(folder, 2**30).sizes} == names
    assert package.left_behind == ()


def test_large_files_stay_behind_and_no_others(tmp_path: Path) -> None:
    folder = tmp_path / "work"
    large = ["big [1].bin", "#big.bin", "!big.bin", "b*g?.bin", "big.bin ", "a\\b.bin", "data/big.bin", "link/big.bin"]
    small = ["big 1.bin", "b1g2.bin", "big.bin", "ab.bin", "data/small.bin", "link/small.bin"]
    (folder / "data").mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    (folder / "link").symlink_to(tmp_path / "outside")
    write(folder, *large, size=50 * 2**20 + 1)
    write(folder, *small)
    package = pack(*campaign(folder))
    assert package.left_behind == tuple(sorted(large))
    assert uploaded(package, tmp_path) == {"far.yaml", *small}
