"""A property of objects that are numbers."""

import math

import numpy as np


class Size:
    """A property: the number; unknown for 99."""

    scale = 2.0

    def compute(self, objects):
        return np.array([math.nan if o == "99" else float(o) for o in objects])
