"""The parts of a campaign as Ray actors."""
