"""Amortised inference with language models: sampling continuations in proportion to a reward.

- ``tuning``: ``tune``, GFlowNet fine-tuning by low-rank adapters.
- ``tuned``: ``TunedModel``, the sampler that it returns.
- ``rewards``: what a frozen model says of a text; ``checked``: any function of it.
- ``buffer``: the best texts of each prompt; ``convergence``: how far the sampler is from the posterior.
"""

from al_loop.language.checked import Checked
from al_loop.language.rewards import Chain, Continuation, Falling, Gap, Infill, LanguageReward
from al_loop.language.tuned import TunedModel
from al_loop.language.tuning import TuneOptions, tune
from al_loop.language_models.calculator import calculate
from al_loop.language_models.loading import load_language_model

__all__ = [
    "Chain",
    "Checked",
    "Continuation",
    "Falling",
    "Gap",
    "Infill",
    "LanguageReward",
    "TuneOptions",
    "TunedModel",
    "calculate",
    "load_language_model",
    "tune",
]
