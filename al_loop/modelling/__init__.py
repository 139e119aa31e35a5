"""What a campaign learns from the oracle's answers: models, objectives, transforms, reward."""
