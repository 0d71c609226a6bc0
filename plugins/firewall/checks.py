# SPDX-License-Identifier: Apache-2.0
"""CHECK: what ADD recorded is what the configuration says, and is in force."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cni_common.spec.errors import CNIError, Code
from plugins.firewall import nftables, protection, wanted

if TYPE_CHECKING:
    from cni_common.naming import Attachment
    from cni_common.spec.result import Result
    from plugins.firewall.conf import FirewallConf


def check_recorded(attachment: Attachment, conf: FirewallConf, result: Result) -> None:
    """Raise code 999 naming the first thing that is missing.

    Where rules are is what ADD chose: the host may call for another choice by now.
    """
    had = protection.read(attachment)
    if had is None:
        raise _missing(f"record of {attachment}")
    for address in wanted.addresses(result):
        if address not in had.addresses:
            raise _missing(f"address {address} in the record of {attachment}")
    if had.policy is not conf.ingress_policy:
        cause = f"it was attached with {had.policy}"
        raise _missing(f"ingressPolicy {conf.ingress_policy}: {cause}")
    nftables.check(had, attachment)
    if had.filters:
        from plugins.firewall import iptables  # noqa: PLC0415 - only on such hosts

        iptables.check(had, attachment)
    if had.zone:
        from plugins.firewall import zone  # noqa: PLC0415 - only with firewalld

        zone.check(had)


def _missing(what: str) -> CNIError:
    return CNIError(Code.INTERNAL, f"check firewall: missing {what}")
