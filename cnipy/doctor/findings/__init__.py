# SPDX-License-Identifier: Apache-2.0
"""The register of findings: a function for each, in the order in which they are told.

What it yields has the name by which the register knows it, or that of a sibling.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnipy.doctor.findings import (
    dropped,
    files,
    flushed,
    leases,
    machine,
    names,
    nodes,
    parameters,
    ports,
    records,
    subnets,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cnipy.doctor.examination import Examination
    from cnipy.doctor.finding import Finding

REGISTER: tuple[Callable[[Examination], Iterator[Finding]], ...] = (
    records.find,  # who reads them next would be told the same as a doubt
    machine.find_missing_library,
    files.find_old_python,
    machine.find_full_disk,
    files.find_missing,
    files.find_mixed,
    machine.find_other_server,
    dropped.find,  # forward-policy, ufw, firewalld-reload
    flushed.find,
    parameters.find_forwarding_off,
    parameters.find_reverse_path,
    parameters.find_bridged_filter,
    parameters.find_ipv6_off,
    subnets.find_overlap,
    subnets.find_mtu,
    names.find,
    nodes.find,  # agent-dead, store-away, net-fault
    ports.find,
    leases.find_full,
    leases.find_stale,
    flushed.find_others,
)
