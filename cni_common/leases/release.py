# SPDX-License-Identifier: Apache-2.0
"""DEL: no lease of the attachment is left. No key of the configuration is read but
`dataDir`, no model of it imported, and nobody else asked.
"""

from __future__ import annotations

from cni_common.frame.rollback import Gather
from cni_common.leases.directory import data_dir, locked
from cni_common.leases.owner import Owner

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from cni_common.spec.request import Request


def release(request: Request) -> bool:
    """Release what the attachment holds, whatever its ranges are by now.

    True, since nothing is left to do then. Raises CNIError as `locked`, after all.
    """
    owner = Owner(request.container_id, request.ifname)
    directory = data_dir(request.document)
    with (
        locked(directory, request.network, create=False) as store,
        Gather() as errors,
    ):
        if store is not None:
            for name in store.owned(owner) or store.owned(owner.legacy):
                errors.attempt(store.release, name)
    return True
