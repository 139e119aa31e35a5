"""GFlowNet training: policies, objectives, roll-outs, replay. Needs torch and numpy alone."""
