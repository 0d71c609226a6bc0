# SPDX-License-Identifier: Apache-2.0
"""The keys of firewall, and its records."""

from __future__ import annotations

import json
from ipaddress import ip_address
from typing import Any

import pytest

from cni_common import shapes
from cni_common.spec.errors import CNIError
from cni_common.spec.model import parse
from plugins.firewall.conf import Backend, FirewallConf
from plugins.firewall.protection import TABLE, Policy, Protection


def conf(**keys: Any) -> FirewallConf:
    """Return a configuration."""
    return parse(FirewallConf, {"name": "net", "type": "firewall", **keys}, "it")


@pytest.mark.parametrize(
    "keys",
    ({}, {"backend": "", "ingressPolicy": ""}, {"backend": None, "INGRESSPOLICY": ""}),
)
def test_defaults(keys: dict[str, Any]) -> None:
    """What Podman writes, an empty word, is the same as nothing."""
    read = conf(iptablesAdminChainName="", firewalldZone="", **keys)
    read.check_names()
    assert read.backend is Backend.AUTOMATIC
    assert read.ingress_policy is Policy.OPEN
    assert (read.admin_chain, read.zone) == ("CNI-ADMIN", "trusted")


@pytest.mark.parametrize("word", ("Nftables", " ", "auto", "none"))
def test_unknown_words_are_errors(word: str) -> None:
    """A backend or policy that is not known is refused and not replaced."""
    for key in ("backend", "ingressPolicy"):
        with pytest.raises(CNIError, match=f"{key}: unknown word") as caught:
            conf(**{key: word})
        assert caught.value.code == 7


@pytest.mark.parametrize("chain", ("CNI-ADMIN", "a", "My_chain.1", "A" * 28))
def test_chain_names_of_iptables_are_taken(chain: str) -> None:
    """Letters, digits and a few signs, at most 28 of them."""
    conf(iptablesAdminChainName=chain).check_names()


@pytest.mark.parametrize(
    "chain", ("-F", "a b", "a\n-F", "A" * 29, "ACCEPT", "CNI-FORWARD", "a;b", "ä", "!a")
)
def test_other_chain_names_are_refused(chain: str) -> None:
    """An option, a target or a line of its own is no chain."""
    with pytest.raises(CNIError, match="use iptablesAdminChainName"):
        conf(iptablesAdminChainName=chain).check_names()


@pytest.mark.parametrize("zone", ("../x", "/", "a/b/c", "", " ", "a\nb", "z" * 18))
def test_zone_names(zone: str) -> None:
    """A zone is a word, or two with a slash; empty is the default."""
    read = conf(firewalldZone=zone)
    if zone:
        with pytest.raises(CNIError, match="use firewalldZone"):
            read.check_names()
    else:
        read.check_names()


def test_record_is_read_as_it_was_written() -> None:
    """A record gives back what ADD did, and what is none gives nothing."""
    protection = Protection(
        addresses=(ip_address("10.1.0.2"), ip_address("fd01::2")),
        policy=Policy.ISOLATED,
        links=("br0",),
        ports=("veth1",),
        filters=("nft4", "nft6"),
        zone="trusted",
    )
    document = json.loads(json.dumps(protection.document()))
    assert Protection(**shapes.members(document, TABLE)) == protection
    assert protection.isolated_ports == ("veth1",)
    for damage in ({}, {**document, "policy": "x"}, {**document, "addresses": ["x"]}):
        with pytest.raises(ValueError, match=r"policy|addresses"):
            shapes.members(damage, TABLE)
