# SPDX-License-Identifier: Apache-2.0
"""Somebody's firewall drops what containers send and get."""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING, Any

from cni_common.allowed import choice
from cni_common.allowed.filter_table import FilterTable
from cni_common.kernel import nft
from cnipy.doctor import wanted
from cnipy.doctor.examination import names
from cnipy.doctor.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cnipy.doctor.examination import Examination, Lack
    from cnipy.network import Network

POLICY, UFW, FIREWALLD = "forward-policy", "ufw", "firewalld-reload"
_WHAT = "containers reach nothing beyond the node, nor are published ports reached"
_ASK = "cnipy why CONTAINER ADDRESS   # tells whether it is so"
# Of a rule in JSON: a named set, a mark, and a match of xtables by either.
_UNSEEN = ('"@', '"mark"', '"name": "set"')
_LEGACY = re.compile(r" --(match-set|mark) ")
_BY_NOW = "by now"  # allowed/choice.py: the host has begun to drop after ADD
_CURE = ("cnipy repair", "cnipy repair --watch   # stays, and does it whenever needed")
_SINCE = {
    POLICY: "",
    UFW: "; ufw has been switched on, or reloaded, since",
    FIREWALLD: "; a reload of firewalld forgets what was added while it ran",
}
_PERSISTENT = 'write {{"type": "firewall"}} behind the other plugins in {file}'


def find(node: Examination) -> Iterator[Finding]:
    """Yield networks whose packets a chain at the forward hook drops by default."""
    yield from _begun(node)
    forwarded = [n for n in node.networks if wanted.is_forwarded(n)]
    if not forwarded:
        return
    host = choice.look()
    every = choice.choose(host, "", frozenset(), guards=False).dropping
    for name, rules in _dropping(host).items():
        for network in forwarded:
            # The plugin has packets pass where a chain of iptables or firewalld drops.
            is_let = (
                wanted.plugin(network, "firewall") is not None and name not in every
            )
            if not is_let and not any(word in rules for word in _words(network)):
                yield _unnamed(node, network, name, rules)


def _dropping(host: choice.Host) -> dict[str, str]:
    """Return the chains that drop, and the rules of their tables as a text.

    The text is only asked whether a network is named in it at all: what comes of that
    `why` tells.
    """
    found = {}
    for chain in host.chains:
        listed = nft.list_json(f"list table {chain.family} {chain.table}")
        # What a set has says nothing where no rule accepts by it.
        unseen = json.dumps([each for each in listed if _accepts_unseen(each)])
        kept = [each for each in listed if f'"@{_set_of(each)}"' in unseen]
        kept += [each for each in listed if not _set_of(each)]
        found[str(chain)] = json.dumps(kept)
    if "legacy" in host.variants:
        table = FilterTable.find("legacy4")
        if table is not None:
            # Chains of users begin with a line of their own.
            found["iptables-legacy FORWARD"] = table.text()
    return found


def _set_of(item: dict[str, Any]) -> str:
    """Return the name of a set or map, nothing of what is none."""
    described = item.get("set") or item.get("map") or {}
    return str(described.get("name", ""))


def _accepts_unseen(item: dict[str, Any]) -> bool:
    """Tell whether a rule may accept by what nobody sees in it: a set, or a mark."""
    statements = item.get("rule", {}).get("expr", [])
    leads = any({"accept", "jump", "goto", "vmap"} & set(each) for each in statements)
    text = json.dumps(statements)
    return leads and any(word in text for word in _UNSEEN)


def _is_unsure(rules: str) -> bool:
    """Tell the same of all rules of a table, or of those of iptables-legacy."""
    if rules.startswith("["):
        return any(map(_accepts_unseen, json.loads(rules)))
    return any(" -j " in line and _LEGACY.search(line) for line in rules.splitlines())


def _words(network: Network) -> list[str]:
    """Return how rules name a network."""
    subnets = wanted.subnets(network)
    words = [f'"{wanted.bridge(network)}"', f" {wanted.bridge(network)} "]
    words = words if wanted.bridge(network) else []
    return words + [str(net.network_address) for net in subnets]


def _unnamed(node: Examination, network: Network, chain: str, rules: str) -> Finding:
    named = " or ".join(
        filter(None, [wanted.bridge(network), *map(str, wanted.subnets(network))])
    )
    name = _whose(chain, rules)
    cause = f"{chain} drops what no rule accepts, and none of its table names {named}"
    cure = _now(name, chain, rules, network)
    if wanted.plugin(network, "firewall") is None:
        cure = (*cure, _PERSISTENT.format(file=node.files[network.name]))
    if not _is_unsure(rules):
        return Finding(name, _WHAT, cause, cure, network.name)
    cause += "; but rules there accept by sets or marks, which may be theirs"
    what = f"it may be that {_WHAT}"
    return Finding(name, what, cause, (_ASK, *cure), network.name)


def _whose(chain: str, rules: str) -> str:
    if " firewalld " in chain:
        return FIREWALLD
    return UFW if "ufw-before-forward" in rules else POLICY


def _now(name: str, chain: str, rules: str, network: Network) -> tuple[str, ...]:
    """Return the commands for what is attached already."""
    link = wanted.bridge(network)
    subnets = wanted.subnets(network)
    if name == FIREWALLD:
        add = "firewall-cmd --permanent --zone=trusted --add-source={}"
        return (*(add.format(net) for net in subnets), "firewall-cmd --reload")
    if not link:
        return ()
    if name == UFW:
        return (f"ufw route allow in on {link}", f"ufw route allow out on {link}")
    if "FORWARD" in chain:
        at = "DOCKER-USER" if "DOCKER-USER" in rules else "FORWARD"
        legacy = "-legacy" if "legacy" in chain else ""
        command = f"iptables{legacy} -I {at}"
        return (f"{command} -i {link} -j ACCEPT", f"{command} -o {link} -j ACCEPT")
    insert = f"nft insert rule {chain}"
    return (f"{insert} iifname {link} accept", f"{insert} oifname {link} accept")


def _begun(node: Examination) -> Iterator[Finding]:
    """Yield what the plugin firewall has to follow, for the host drops by now."""
    found: dict[tuple[str, str, str], list[Lack]] = {}
    told = [lack for lack in node.lacks if is_told(lack)]
    dropping = UFW if told and _has_ufw() else POLICY
    for lack in told:
        name = FIREWALLD if _is_of_firewalld(lack) else dropping
        found.setdefault((name, lack.held.network, lack.text), []).append(lack)
    for (name, network, text), lacks in found.items():
        who = names(lack.held for lack in lacks)
        yield Finding(name, f"{_WHAT}: {who}", f"{text}{_SINCE[name]}", _CURE, network)


def is_told(lack: Lack) -> bool:
    """Tell whether `find` has a finding of the lack."""
    is_allowance = lack.part.kind() == "allowed"
    return is_allowance and (_is_of_firewalld(lack) or _BY_NOW in lack.text)


def _is_of_firewalld(lack: Lack) -> bool:
    return "zone" in lack.text or "firewalld" in lack.text


def _has_ufw() -> bool:
    chains: list[dict[str, Any]] = nft.list_json("list chains")
    by_nft = any(c.get("chain", {}).get("name", "").startswith("ufw-") for c in chains)
    return by_nft or os.path.exists("/etc/ufw/ufw.conf")
