"""Searches around objects that are known to be good, one file each; what they find trains the sampler."""
