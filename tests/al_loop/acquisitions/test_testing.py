"""Every built-in acquisition keeps the contract."""

from al_loop.acquisitions.testing import AcquisitionContract
from al_loop.config import Part, build
from al_loop.config.plugins import built_in

#: a draw of thompson may go either way, parego has other weights for each number of pending objects, and the value of
#: qlogei is that of an object and the pending ones together
_NOT_LOWERED = ("thompson", "parego", "qlogei")


def contract_of(kind):
    class Contract(AcquisitionContract):
        is_lowered_by_pending = kind not in _NOT_LOWERED

        def make(self):
            return build("acquisition", Part(kind=kind))

    return Contract


for _kind in [part.kind for part in built_in("acquisition")]:
    globals()[f"Test_{_kind}"] = contract_of(_kind)
