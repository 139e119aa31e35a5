from al_loop.datafiles.nested import flatten


def test_nested_mappings_become_dotted_keys():
    assert flatten({"a": 1, "b": {"c": [2], "d": {"e": None}}, "f": {}}) == {"a": 1, "b.c": [2], "b.d.e": None}
