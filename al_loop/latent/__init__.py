"""Maximum likelihood of models with discrete, compositional latents: GFlowNet-EM (Hu et al., ICML 2023).

- ``base``: the interface, ``LatentModel``. ``models``: one module for each model.
- ``settings``: ``EM``. ``em``: the alternation of E-steps and M-steps. ``fitting``: ``fit``, all of it in one call.
- ``config``, ``files``, ``task``: ``al-loop fit-latent``, and the files that it writes and reads.
- ``observations``: environments whose conditions are observations. ``posterior``: q(z|x), and how exact it is.
"""

from al_loop.latent.base import LatentModel
from al_loop.latent.em import Alternation, Result, Round
from al_loop.latent.files import load, save
from al_loop.latent.fitting import fit
from al_loop.latent.models.discrete_vae import DiscreteVAE
from al_loop.latent.models.grammar import Grammar
from al_loop.latent.models.hmm import HMM
from al_loop.latent.models.mixture import Mixture
from al_loop.latent.models.motifs import Motifs
from al_loop.latent.models.rna import RNAStructures
from al_loop.latent.posterior import Posterior, Report
from al_loop.latent.settings import EM

__all__ = [
    "EM",
    "HMM",
    "Alternation",
    "DiscreteVAE",
    "Grammar",
    "LatentModel",
    "Mixture",
    "Motifs",
    "Posterior",
    "RNAStructures",
    "Report",
    "Result",
    "Round",
    "fit",
    "load",
    "save",
]
