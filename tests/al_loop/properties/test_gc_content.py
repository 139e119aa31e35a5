import numpy as np

from al_loop.properties.gc_content import GCContent


def test_gc_content_is_a_fraction():
    values = GCContent().compute(["GGCC", "ACGU", "aauu", "g", ""])
    assert values[:4].tolist() == [1.0, 0.5, 0.0, 1.0]
    assert np.isnan(values[4])
