"""Every built-in selector keeps the contract."""

from al_loop.config import Part, build
from al_loop.config.plugins import built_in
from al_loop.selectors.testing import SelectorContract


def contract_of(kind):
    class Contract(SelectorContract):
        is_first_pick_the_best = kind != "thompson"  # which goes by its draws

        def make(self):
            return build("selector", Part(kind=kind))

    return Contract


for _kind in [part.kind for part in built_in("selector")]:
    globals()[f"Test_{_kind}"] = contract_of(_kind)
