from al_loop.seeding import derive_seed


def test_a_seed_depends_on_every_name_and_on_nothing_else():
    assert derive_seed(0, 1, "draw", 2) == derive_seed(0, 1, "draw", 2) == 5125764295910292231
    names = [
        (0, 1, "draw", 2),
        (1, 1, "draw", 2),
        (0, 2, "draw", 2),
        (0, 1, "pool", 2),
        (0, 1, "draw", 3),
        (0, 11, "d"),
    ]
    assert len({derive_seed(*n) for n in names}) == len(names)
    assert all(0 <= derive_seed(*n) < 2**63 for n in names)
