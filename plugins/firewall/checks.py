# SPDX-License-Identifier: Apache-2.0
"""CHECK: what ADD recorded is what the configuration says, and is in force."""

from __future__ import annotations

from cni_common.spec.errors import CNIError, Code
from plugins.firewall import choice, nftables, protection, wanted

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from cni_common.naming import Attachment
    from cni_common.spec.result import Result
    from plugins.firewall.conf import FirewallConf
    from plugins.firewall.protection import Protection

_WAY_OUT = "the next ADD of any container, or GC, brings the rules of all there"


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
    _check_place(had, conf, result)
    nftables.check(had, attachment)
    if had.filters:
        from plugins.firewall import iptables  # noqa: PLC0415 - only on such hosts

        iptables.check(had, attachment)
    if had.zone:
        from plugins.firewall import zone  # noqa: PLC0415 - only with firewalld

        zone.check(had)


def _check_place(had: Protection, conf: FirewallConf, result: Result) -> None:
    """Raise code 999 if the host drops by now where no rule of ours is."""
    there = choice.look(conf.backend)
    versions = {address.version for address in wanted.addresses(result)}
    chosen = choice.choose(there, conf.backend, conf.ingress_policy, versions)
    absent = set(chosen.filters) - set(had.filters)
    if absent:
        missing = f"rules in filter table {min(absent)}: by now {chosen.why}"
        raise _missing(missing, _WAY_OUT)
    if chosen.firewalld and not had.zone:
        missing = f"sources in zone {conf.zone}: by now {chosen.why}"
        raise _missing(missing, _WAY_OUT)


def _missing(what: str, details: str = "") -> CNIError:
    return CNIError(Code.INTERNAL, f"check firewall: missing {what}", details)
