"""The tasks of the GuacaMol and PMO benchmarks that need RDKit alone, as an oracle."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import get_args

from al_loop.errors import ConfigError, not_one_of
from al_loop.oracles._chemistry.conformer import require_rdkit
from al_loop.oracles._chemistry.molecules import per_molecule
from al_loop.oracles.base import Objective, Oracle, Outcome
from al_loop.oracles.guacamol.tasks import TASKS, TaskName


class GuacaMol(Oracle):
    """A task of the GuacaMol and PMO benchmarks that needs RDKit alone; a score from 0 to 1, no unit, higher is better.

    The definitions are GuacaMol's (Brown et al., J. Chem. Inf. Model. 2019, 59, 1096) for single molecules, without its
    mean over the best 1, 10 and 100. PMO (Gao et al. 2022) takes them from TDC, whose scores have been the same since
    August 2022. TDC 0.3.6, which PMO's code names, counted atoms differently: scores obtained with it are not
    comparable for the isomer tasks, sitagliptin_mpo and zaleplon_mpo. A text that is not a molecule fails as
    ``invalid``, where GuacaMol gives -1 and PMO 0.

    Similarities are Tanimoto on counts of ECFP4, ECFP6, FCFP4 or atom pairs (AP), or on bits of Gobbi's pharmacophores
    (PHCO). The terms of a task are averaged geometrically unless stated otherwise:

    - albuterol_similarity: FCFP4 similarity to albuterol, full score at 0.75 and above.
    - amlodipine_mpo: ECFP4 similarity to amlodipine, and 3 rings.
    - celecoxib_rediscovery: ECFP4 similarity to celecoxib.
    - deco_hop: PHCO similarity to a kinase inhibitor and its scaffold, without its decorations; arithmetic mean.
    - fexofenadine_mpo: AP similarity to fexofenadine, TPSA of at least 90 Å2, logP of at most 4.
    - isomers_c7h8n2o2, isomers_c9h10n2o2pf2cl: the molecular formula.
    - median1: ECFP4 similarity to both camphor and menthol.
    - median2: ECFP6 similarity to both tadalafil and sildenafil.
    - mestranol_similarity: AP similarity to mestranol, full score at 0.75 and above.
    - osimertinib_mpo: FCFP4 similarity to osimertinib, but ECFP6 similarity of at most 0.85; TPSA of at least 100 Å2,
      logP of at most 1.
    - perindopril_mpo: ECFP4 similarity to perindopril, and 2 aromatic rings.
    - qed: drug-likeness (Bickerton et al. 2012).
    - ranolazine_mpo: AP similarity to ranolazine, logP of at least 7, TPSA of at least 95 Å2, one fluorine.
    - scaffold_hop: PHCO similarity to the same inhibitor and its decoration, without its scaffold; arithmetic mean.
    - sitagliptin_mpo: molecular formula, logP and TPSA of sitagliptin, but no ECFP4 similarity to it.
    - thiothixene_rediscovery: ECFP4 similarity to thiothixene.
    - troglitazone_rediscovery: ECFP4 similarity to troglitazone.
    - valsartan_smarts: a substructure of valsartan with the logP, TPSA and Bertz complexity of sitagliptin.
    - zaleplon_mpo: ECFP4 similarity to zaleplon and the molecular formula C19H17N3O2.

    Args:
        task: one of the tasks above.
    """

    kind = "guacamol"
    libraries = ("rdkit",)
    object_type = "molecule"
    call_size = 64

    def __init__(self, task: TaskName) -> None:
        if task not in TASKS:
            raise ConfigError(f"task: {not_one_of(task, get_args(TaskName))}")
        self.task = task
        self.objectives = (Objective(task),)

    def check(self) -> None:
        """Verify that RDKit is installed.

        Raises:
            ConfigError: it is missing.
        """
        require_rdkit()

    def evaluate(self, objects: Sequence[str]) -> Iterator[Outcome]:
        """Yield the score of each SMILES."""
        task = TASKS[self.task]
        return per_molecule(objects, lambda molecule: (task(molecule),))
