# SPDX-License-Identifier: Apache-2.0
"""What a request asks for, from its prevResult and the host's links."""

from __future__ import annotations

from cni_common.spec.errors import CNIError, Code
from plugins.firewall.protection import Policy, Protection

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from cni_common.kernel.link_answer import Link
    from cni_common.spec.fields import IPAddress
    from cni_common.spec.result import Result
    from plugins.firewall.choice import Choice
    from plugins.firewall.conf import FirewallConf

# Characters that end or escape a name in the language of a rule; a trailing "+" of
# iptables and a "*" of nft stand for any rest.
_UNSPEAKABLE = frozenset('"\\*')


def addresses(previous: Result) -> tuple[IPAddress, ...]:
    """Return every address of prevResult once, of whichever interface it says it is."""
    return tuple(dict.fromkeys(ip.address.ip for ip in previous.ips))


def protection(conf: FirewallConf, previous: Result, choice: Choice) -> Protection:
    """Return what ADD does; raises code 7 where the policy finds no link to guard."""
    guarded: list[str] = []
    ports: list[str] = []
    if conf.ingress_policy is not Policy.OPEN:
        for link in _host_links(previous):
            (guarded if _is_routed(link) else ports).append(link.name)
        _check_speakable(conf, [*guarded, *ports])
        if not guarded:
            msg = f"use ingressPolicy {conf.ingress_policy!s}"
            cause = "prevResult names no link of the host towards the container"
            raise CNIError(Code.INVALID_CONFIG, f"{msg}: {cause}")
    return Protection(
        addresses=addresses(previous),
        policy=conf.ingress_policy,
        links=tuple(guarded),
        ports=tuple(ports),
        filters=choice.filters,
        admin_chain=conf.admin_chain,
        zone=conf.zone if choice.firewalld else "",
        backend=conf.backend,
        home_zone=conf.zone,
    )


def _host_links(previous: Result) -> list[Link]:
    from cni_common.kernel import links  # noqa: PLC0415 - only with a policy
    from cni_common.kernel.netlink import Netlink  # noqa: PLC0415 - likewise

    names = dict.fromkeys(i.name for i in previous.interfaces if not i.sandbox)
    with Netlink() as netlink:
        return [links.existing(netlink, name) for name in names]


def _is_routed(link: Link) -> bool:
    """Tell whether the host itself routes by `link`: a bridge, or no port of one."""
    return link.kind == "bridge" or not link.master


def _check_speakable(conf: FirewallConf, names: list[str]) -> None:
    for name in names:
        if _UNSPEAKABLE & set(name) or name.endswith("+") or name.startswith("!"):
            msg = f"use ingressPolicy {conf.ingress_policy!s}: no rule can name"
            raise CNIError(Code.INVALID_CONFIG, f"{msg} the link {name}")
