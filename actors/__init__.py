"""The parts of a campaign, placed: on this machine, or as Ray actors."""
