# SPDX-License-Identifier: Apache-2.0
"""That a guarded network is kept apart here, also while it has no container here."""

from __future__ import annotations

from cni_common import naming
from cni_common.allowed import declared
from cni_common.parts.allowed import Allowed
from cnipy.net.dataplane.ground import device_name
from cnipy.net.records import HOST_GW, ISOLATED, OPEN

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from cnipy.net.records import NetworkConfig


def overlay(config: NetworkConfig) -> str:
    """Return the link by which containers of other nodes come, nothing for any."""
    return "" if config.backend == HOST_GW else device_name(config)


def ensure(config: NetworkConfig) -> None:
    """Ensure that the network's rules are there, or none where all may reach it.

    Raises Code.INTERNAL.
    """
    if config.policy == OPEN:
        declared.remove(config.name)
        return
    wanted = Allowed(
        addresses=(),
        guarded=(naming.bridge_of(config.name),),
        isolated=config.policy == ISOLATED,
        pools=tuple(pool.network for pool in config.pools),
        overlay=overlay(config),
    )
    declared.ensure(config.name, wanted)


def remove(config: NetworkConfig) -> None:
    """Remove the rules of the network; absence is success."""
    declared.remove(config.name)
