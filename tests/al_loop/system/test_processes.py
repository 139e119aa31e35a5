"""Ending a tree of processes."""

import os
import select
import signal
import time

from al_loop.system.processes import end_tree


def test_a_process_ends_the_tree_that_it_is_part_of_without_itself() -> None:
    read, write = os.pipe()
    root = os.fork()
    if root == 0:
        if os.fork() == 0:
            end_tree(os.getppid())
            os.write(write, b"on")
            os._exit(0)
        time.sleep(600)
        os._exit(1)
    os.close(write)
    is_there, _, _ = select.select([read], [], [], 60)
    if not is_there:
        os.kill(root, signal.SIGKILL)
    _, status = os.waitpid(root, 0)
    assert is_there, "it has stopped itself"
    assert os.read(read, 2) == b"on"
    assert os.WIFSIGNALED(status)
    os.close(read)
