import threading
import time

import pytest

from al_loop.campaign.group_commit import GroupCommit


def together(write, items):
    """The result of each item, from threads of which the first is held up until the others wait."""
    first_writes, others_wait = threading.Event(), threading.Event()

    def gated(group):
        first_writes.set()
        assert others_wait.wait(20)
        return write(group)

    commit, results = GroupCommit(gated), {}

    def run(item):
        try:
            results[item] = commit(item)
        except ValueError as error:
            results[item] = str(error)

    threads = [threading.Thread(target=run, args=(item,)) for item in items]
    threads[0].start()
    assert first_writes.wait(20)
    for thread in threads[1:]:
        thread.start()
    while len(commit._waiting) < len(items) - 1:
        time.sleep(0.01)
    others_wait.set()
    for thread in threads:
        thread.join()
    return results


def test_what_gathers_while_one_writes_is_written_at_once():
    groups = []

    def write(group):
        groups.append(len(group))
        return [item * 10 for item in group]

    assert together(write, [1, 2, 3, 4]) == {1: 10, 2: 20, 3: 30, 4: 40}
    assert groups == [1, 3]


def test_an_error_is_raised_for_each_item_of_its_group():
    def write(group):
        if len(group) > 1:
            raise ValueError("disk full")
        return group

    assert together(write, [1, 2, 3]) == {1: 1, 2: "disk full", 3: "disk full"}


def test_without_others_an_item_is_written_by_itself():
    assert GroupCommit(lambda group: [2 * item for item in group])(3) == 6
    with pytest.raises(ZeroDivisionError):
        GroupCommit(lambda group: [1 / item for item in group])(0)
