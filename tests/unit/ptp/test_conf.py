# SPDX-License-Identifier: Apache-2.0
"""ptp: what its keys accept, and what DEL makes of a broken configuration."""

from __future__ import annotations

from typing import Any

import pytest

from cni_common.spec.errors import CNIError, Code
from cni_common.spec.model import parse, parse_leniently
from cni_common.spec.request import Request
from plugins.ptp.conf import PtpConf

REQUEST = Request("ADD", {}, b"", {}, "net", "1.1.0")
IPAM = {"type": "host-local"}


def conf(**keys: Any) -> PtpConf:
    """Return the configuration that consists of `keys`."""
    return parse(PtpConf, {"name": "net", "ipam": IPAM, **keys}, "configuration")


def test_keys_as_go_reads_them() -> None:
    """Keys match without regard to case, null is absence."""
    found = conf(IPMASQ=True, Mtu=1400, ipMasqBackend=None)
    assert (found.ip_masq, found.mtu, found.ip_masq_backend) == (True, 1400, "")
    found.validate_for(REQUEST)


@pytest.mark.parametrize("backend", ["", "nftables", "iptables"])
def test_backends_of_the_reference(backend: str) -> None:
    """The reference's backends are accepted."""
    conf(ipMasq=True, ipMasqBackend=backend).validate_for(REQUEST)


@pytest.mark.parametrize(
    "keys", [{"mtu": -1}, {"mtu": 65536}, {"ipMasqBackend": "ebtables"}, {"ipam": {}}]
)
def test_values_that_cannot_be(keys: dict[str, Any]) -> None:
    """Such a value is code 7 of ADD, CHECK and STATUS."""
    with pytest.raises(CNIError) as refused:
        conf(**keys).validate_for(REQUEST)
    assert refused.value.code == Code.INVALID_CONFIG


@pytest.mark.parametrize("keys", [{"mtu": 1.5}, {"mtu": True}, {"ipMasq": "true"}])
def test_types_are_strict(keys: dict[str, Any]) -> None:
    """A value of another type is no configuration, and DEL passes over it."""
    with pytest.raises(CNIError):
        conf(**keys)
    found, dropped = parse_leniently(PtpConf, {"name": "net", "ipam": IPAM, **keys})
    assert dropped == list(keys)
    assert found.ipam.type == "host-local"
