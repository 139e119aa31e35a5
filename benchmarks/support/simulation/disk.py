"""A disk that fills up, and that forgets at a power cut what was not forced to it.

Files are real ones below a folder; this notes what a power cut would undo. The rules are those of POSIX: ``fsync`` of a
file keeps its content, ``fsync`` of its folder keeps its name. SQLite's own files are forced by SQLite at each commit;
a power cut leaves garbage after the last commit of its write-ahead log.
"""

from __future__ import annotations

import contextlib
import errno
import os
import pathlib
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

from benchmarks.support.simulation.scheduler import World

_NAMES_OF_SQLITE = ("-wal", "-shm", ".db", "-journal")


class Disk:
    """The files below a folder.

    Args:
        world: in which they are written.
        root: the folder.
    """

    def __init__(self, world: World, root: Path) -> None:
        self._world, self._root = world, str(root)
        self.full_until = 0.0
        #: what a power cut may leave of each file that was written: its former content, or None for no file
        self._former: dict[str, bytes | None] = {}
        self._is_forced: set[str] = set()  # of these, files whose new content is on the disk, though not their names

    @property
    def is_full(self) -> bool:
        """Whether nothing more can be written at present."""
        return self._world.now < self.full_until

    @contextlib.contextmanager
    def in_use(self) -> Iterator[None]:
        """Let this process write to the simulated disk."""
        open_, open_path, fsync = os.open, pathlib.Path.open, os.fsync
        replace, unlink = os.replace, os.unlink
        disk = self

        def opened(path: Any, flags: int, *args: Any, **kwargs: Any) -> int:
            if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
                disk._write("open", path)
            return open_(path, flags, *args, **kwargs)

        def opened_path(path: Path, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
            if set(mode) & set("wax+"):
                disk._write("open", path)
            return open_path(path, mode, *args, **kwargs)

        def forced(number: int) -> None:
            disk._force(number)
            fsync(number)

        def replaced(source: Any, target: Any, **kwargs: Any) -> None:
            disk._rename(source, target, lambda: replace(source, target, **kwargs))

        def removed(path: Any, **kwargs: Any) -> None:
            disk._write("remove", path, needs_room=False)
            unlink(path, **kwargs)

        with contextlib.ExitStack() as stack:
            for name, function in {
                "open": opened,
                "fsync": forced,
                "replace": replaced,
                "unlink": removed,
                "remove": removed,
            }.items():
                stack.enter_context(mock.patch.object(os, name, function))
            stack.enter_context(mock.patch.object(pathlib.Path, "open", opened_path))
            yield

    def power_cut(self) -> None:
        """Undo some of what was not forced to the disk, and leave garbage after the end of write-ahead logs."""
        chance = self._world.chance
        for name, former in sorted(self._former.items(), key=lambda item: item[0]):
            path = Path(name)
            if chance.random() < 0.5:
                if former is None:
                    path.unlink(missing_ok=True)
                else:
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(former)
                self._world.note(f"undone: {path.name}")
            elif name not in self._is_forced and path.is_file() and chance.random() < 0.5:
                with path.open("rb+") as file:
                    file.truncate(chance.randint(0, path.stat().st_size))
                self._world.note(f"torn: {path.name}")
        self._former.clear()
        self._is_forced.clear()
        for log in sorted(Path(self._root).rglob("*-wal")):
            if log.stat().st_size and chance.random() < 0.7:
                with log.open("ab") as file:
                    file.write(chance.randbytes(chance.randint(1, 5000)))
                self._world.note(f"torn: {log.name}")

    # ------------------------------------------------------------------------------------------------------------------

    def _own(self, path: Any) -> str | None:
        """Return the name of a file of this disk; None for others, and for those of SQLite."""
        if not self._world.is_simulated() or not isinstance(path, str | os.PathLike):
            return None
        name = str(Path(path).absolute())
        return name if name.startswith(self._root) and not name.endswith(_NAMES_OF_SQLITE) else None

    def _is_full_for(self, name: str) -> bool:
        return self.is_full and not name.startswith(f"{self._root}/tmp/")

    def _write(self, what: str, path: Any, *, needs_room: bool = True) -> None:
        name = self._own(path)
        if name is None:
            return
        self._world.switch(f"{what} {Path(name).name}")
        if needs_room and self._is_full_for(name) and self._world.task.process.is_exposed:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), name)
        self._remember(name)
        self._is_forced.discard(name)

    def _remember(self, name: str) -> None:
        if name in self._former:
            return
        try:
            self._former[name] = Path(name).read_bytes()
        except OSError:
            self._former[name] = None

    def _force(self, number: int) -> None:
        name = self._own(str(Path(f"/proc/self/fd/{number}").readlink()))
        if name is None:
            return
        self._world.switch(f"fsync {Path(name).name}")
        if stat.S_ISDIR(os.fstat(number).st_mode):
            for file in [f for f in self._former if str(Path(f).parent) == name]:
                if file in self._is_forced or not Path(file).exists():
                    self._forget(file)
            return
        if self._is_full_for(name) and self._world.task.process.is_exposed:  # part of what was written may be there
            os.ftruncate(number, self._world.chance.randint(0, os.fstat(number).st_size))
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), name)
        if self._former.get(name) is not None:  # its name is there
            self._forget(name)
        else:
            self._is_forced.add(name)

    def _forget(self, name: str) -> None:
        self._former.pop(name, None)
        self._is_forced.discard(name)

    def _rename(self, source: Any, target: Any, rename: Callable[[], None]) -> None:
        new, old = self._own(source), self._own(target)
        if new is None or old is None:
            rename()
            return
        self._world.switch(f"rename {Path(old).name}")
        self._remember(old)
        is_forced = new in self._is_forced or new not in self._former
        rename()
        self._forget(new)
        (self._is_forced.add if is_forced else self._is_forced.discard)(old)
