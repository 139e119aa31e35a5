"""PPO (RLlib), the reward-maximising baseline."""
