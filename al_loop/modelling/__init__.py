"""Learning from the oracle's values: objectives, models, and the reward that samplers train on.

- ``objectives``, ``fidelities``: which of the oracle's values are optimised or bounded, and at which fidelities.
- ``constraints``: bounds on cheap properties.
- ``transforms``: output transforms of the optimised values.
- ``fitter``: fits the models of a round; ``fitted``: the result, with predictions and samples.
- ``side_terms``: success, bounds and cost, beside the acquisition; ``feasibility``, ``ep_classifier``: the models of
  success and cost.
- ``reward``: acquisition values as the samplers' log-reward.
- ``fidelity_selection``: selects a batch with the fidelity of each object.
"""
