from al_loop.campaign.task_queue import TaskQueue
from al_loop.ledger import Candidate


def queue_of(*fidelities):
    queue = TaskQueue()
    queue.add(Candidate(i, 0, i, f"object {i}", "random", fidelity=f) for i, f in enumerate(fidelities))
    return queue


def ids(tasks):
    return [task.candidate.id for task in tasks]


def test_calls_are_of_one_fidelity_and_at_most_their_size():
    queue = queue_of("a", "a", "a", "b", "a")
    calls = []
    while queue.has_ready():
        calls.append(ids(queue.take_call(2)))
    assert calls == [[0, 1], [2], [3], [4]]


def test_what_is_called_alone_shares_no_call():
    queue = queue_of("", "", "")
    (first, second) = queue.take_call(2)
    first.is_alone = second.is_alone = True
    for task in (first, second):
        queue.retry(task, 0.0)
    assert queue.has_ready()
    assert [ids(queue.take_call(3)) for _ in range(3)] == [[2], [0], [1]]


def test_what_pauses_waits_and_counts():
    queue = queue_of("")
    (task,) = queue.take_call(1)
    assert queue.pause_s() is None
    queue.retry(task, 1e9)
    assert len(queue) == 1
    assert not queue.has_ready()
    assert 0 < queue.pause_s() <= 300
    queue.clear()
    assert len(queue) == 0


def test_two_measurements_of_one_object_are_calls_with_keys_of_their_own():
    queue = TaskQueue()
    queue.add(
        Candidate(i, 0, i, name, "random", replicate=n) for i, (name, n) in enumerate([("a", 0), ("b", 0), ("a", 1)])
    )
    first, second = queue.take_call(3), queue.take_call(3)
    assert (ids(first), ids(second)) == ([0, 1], [2])
    assert first[0].idempotency_key("campaign") != second[0].idempotency_key("campaign")
