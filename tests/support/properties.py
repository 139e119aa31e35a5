"""A property for tests, of objects that are numbers."""

import math

import numpy as np


class Size:
    """The value of the number; unknown (NaN) for 99."""

    scale = 2.0

    def compute(self, objects):
        return np.array([math.nan if o == "99" else float(o) for o in objects])
