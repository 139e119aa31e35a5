"""All built-in features keep the contract."""

from al_loop.config import Part, build
from al_loop.config.plugins import built_in
from al_loop.features.testing import FeaturesContract

MOLECULES = ("CCO", "c1ccccc1", "CC(=O)Oc1ccccc1C(=O)O", "C[N+](C)(C)CC([O-])=O", "CC(C)Cc1ccc(cc1)C(C)C(=O)O")
WORDS = ("ACGU", "ACG", "GGGG", "A", "UCGA")
SEQUENCES = {"kmers": {"alphabet": "ACGU"}, "one_hot": {"alphabet": "ACGU", "length": 4}}
ARGUMENTS = {**SEQUENCES, "joined": {"parts": [{"kind": "morgan"}, {"kind": "descriptors"}]}}


def contract_of(kind):
    class Contract(FeaturesContract):
        objects = WORDS if kind in SEQUENCES else MOLECULES
        invalid = ("ACGT",) if kind in SEQUENCES else ("nonsense",)

        def make(self):
            return build("features", Part(kind=kind, **ARGUMENTS.get(kind, {})))

    return Contract


#: these need a file; their own tests test their contract
for _kind in [part.kind for part in built_in("features") if part.kind not in ("latent", "language_model")]:
    globals()[f"Test_{_kind}"] = contract_of(_kind)
