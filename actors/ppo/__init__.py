"""PPO, the reward-maximising baseline of the GFlowNet samplers (``sampler.kind: ppo``), by RLlib.

- ``training``: the training of a campaign's sampler by PPO
- ``settings``: the settings of PPO
- ``networks``: the policy and value networks
- ``gymnasium_env``: al-loop's environments as environments of gymnasium
- ``rllib``: everything that depends on RLlib's internal classes
"""
