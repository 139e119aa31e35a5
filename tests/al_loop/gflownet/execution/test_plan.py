"""Plans of roll-outs: how many trajectories take part in each chunk."""

from al_loop.gflownet.execution.plan import Plan


def lengths(plan, alive):
    """Meet the need of roll-outs with these unfinished trajectories after each chunk; return the tries."""
    tries = 1
    while not plan.met([min(alive[i], plan.sizes[i]) if i < len(alive) else 0 for i in range(len(plan.sizes))]):
        tries += 1
    return tries


def test_a_plan_grows_until_all_trajectories_have_a_place():
    plan = Plan(1024, 10)
    assert plan.sizes == (1024,)
    assert lengths(plan, [600, 100, 3]) > 1
    assert len(plan.sizes) == 4
    assert all(size >= count for size, count in zip(plan.sizes[1:], [600, 100, 3], strict=True))
    assert list(plan.sizes) == sorted(plan.sizes, reverse=True)


def test_a_plan_that_serves_is_kept():
    plan = Plan(1024, 10)
    lengths(plan, [600, 100, 3])
    sizes = plan.sizes
    for count in (90, 99, 105, 80):
        assert lengths(plan, [560 + count // 2, count]) == 1
        assert plan.sizes == sizes


def test_a_plan_that_has_become_wasteful_shrinks_once_its_reasons_are_forgotten():
    plan = Plan(4096, 10)
    lengths(plan, [4000, 4000, 4000, 4000, 4000])
    assert plan.sizes == (4096,) * 6
    for _ in range(31):
        assert lengths(plan, [100]) == 1
        assert plan.sizes == (4096,) * 6
    lengths(plan, [100])
    assert plan.sizes == (4096, 256)


def test_a_plan_has_at_most_all_chunks():
    plan = Plan(16, 5)
    lengths(plan, [16, 16, 16, 9])
    assert plan.sizes == (16,) * 5
    assert plan.met([16, 16, 16, 9, 1])  # what is left then is the caller's error


def test_a_roll_out_of_an_earlier_plan_is_judged_by_that_plan():
    plan = Plan(1024, 10)
    lengths(plan, [600, 100, 3])
    earlier, before = (1024, 64), plan.sizes
    assert not plan.met([600, 0], earlier)
    assert not plan.met([50, 9], earlier)
    assert plan.sizes == before  # it has grown since
    assert plan.met([50, 0], earlier)
