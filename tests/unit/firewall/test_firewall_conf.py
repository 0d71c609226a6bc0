# SPDX-License-Identifier: Apache-2.0
"""The keys of firewall, and its records."""

from __future__ import annotations

import json
from ipaddress import ip_address
from typing import Any

import pytest

from cni_common import shapes
from cni_common.attachment import before
from cni_common.naming import Attachment
from cni_common.parts.allowed import Allowed
from cni_common.spec.errors import CNIError
from cni_common.spec.model import parse
from plugins.firewall.conf import Backend, FirewallConf, Policy


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


# As the release before the parts wrote it.
DOCUMENT = {
    "addresses": ["10.1.0.2", "fd01::2"],
    "policy": "isolated",
    "links": ["br0"],
    "ports": ["veth1"],
    "filters": ["nft4", "nft6"],
    "admin_chain": "CNI-ADMIN",
    "zone": "trusted",
}


def test_record_is_read_as_it_was_written() -> None:
    """A record gives back what ADD did, and what is none gives nothing."""
    part = Allowed(
        addresses=(ip_address("10.1.0.2"), ip_address("fd01::2")),
        guarded=("br0",),
        isolated=True,
        ports=("veth1",),
        backend="iptables",
    )
    document = json.loads(json.dumps(part.document()))
    assert Allowed.from_document(document) == part
    damages: tuple[dict[str, Any], ...] = (
        {},
        {**document, "isolated": "x"},
        {**document, "addresses": ["x"]},
        {**document, "adminChain": "a\n-F"},
    )
    for damage in damages:
        with pytest.raises(ValueError, match=r"isolated|addresses|adminChain"):
            Allowed.from_document(damage)


@pytest.mark.parametrize(
    ("changed", "expected"),
    (
        ({}, {"guarded": ("br0",), "isolated": True, "ports": ("veth1",)}),
        ({"policy": "same-bridge"}, {"guarded": ("br0",)}),
        ({"policy": "open"}, {}),
        ({"policy": "open", "zone": "", "home_zone": "house"}, {"zone": "house"}),
    ),
)
def test_record_of_before_is_read_as_a_part(
    changed: dict[str, Any], expected: dict[str, Any]
) -> None:
    """What the release before wrote says what is allowed, and what is kept apart."""
    noted = shapes.members({**DOCUMENT, **changed}, before.TABLES["firewall"])
    owner = Attachment("net", "web", "eth0")
    addresses = (ip_address("10.1.0.2"), ip_address("fd01::2"))
    assert before.PARTS["firewall"](owner, noted) == (
        Allowed(addresses=addresses, **expected),
    )
