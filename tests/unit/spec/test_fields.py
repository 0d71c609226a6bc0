# SPDX-License-Identifier: Apache-2.0
"""Addresses and MACs are taken as Go takes them."""

from __future__ import annotations

import ipaddress

import pytest

from cni_common.spec import fields


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("10.1.2.3", "10.1.2.3"),
        ("FD00::1", "fd00::1"),
        ("::ffff:10.1.2.3", "10.1.2.3"),
        ("0:0:0:0:0:0:0:1", "::1"),
    ],
)
def test_address_is_read(text: str, value: str) -> None:
    """An address is in its canonical form, and a mapped one is IPv4."""
    assert str(fields.address(text)) == value
    assert fields.address(fields.address(text)) == fields.address(text)


@pytest.mark.parametrize(
    "text", ["", "x", "010.1.2.3", "10.1.2", "fe80::1%eth0", "10.1.2.3/24", 7, None]
)
def test_what_is_no_address_is_refused(text: object) -> None:
    """Leading zeros, zones, prefixes and other types are no address."""
    with pytest.raises(ValueError, match="is not an IP address"):
        fields.address(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("::ffff:10.0.0.1/120", "10.0.0.1/24"),
        ("::FFFF:a00:1/128", "10.0.0.1/32"),
        ("::ffff:10.0.0.1/96", "10.0.0.1/0"),
        ("::ffff:10.0.0.1/64", "10.0.0.1/0"),
        ("::ffff:0:10.0.0.1/120", "::ffff:0:a00:1/120"),
        ("3ffe:ffff:0:1ff::1/64", "3ffe:ffff:0:1ff::1/64"),
    ],
)
def test_mapped_cidr_is_ipv4_with_the_bits_of_ipv4(text: str, value: str) -> None:
    """The prefix of an IPv4-mapped address counts its leading 96 bits, as in Go."""
    assert str(fields.cidr(text)) == value
    assert fields.subnet(text) == ipaddress.ip_interface(value).network


def test_cidr_keeps_the_host_and_subnet_does_not() -> None:
    """An interface's address has host bits, a subnet has none."""
    assert str(fields.cidr("10.1.2.3/24")) == "10.1.2.3/24"
    assert str(fields.subnet("10.1.2.3/24")) == "10.1.2.0/24"
    assert fields.cidr(fields.cidr("fd00::1/64")) == fields.cidr("fd00::1/64")
    network = ipaddress.ip_network("10.0.0.0/8")
    assert fields.subnet(network) is network


@pytest.mark.parametrize(
    "text",
    [
        "10.1.2.3",
        "10.1.2.3/",
        "10.1.2.3/33",
        "10.1.2.3/-1",
        "10.1.2.3/255.0.0.0",
        "10.1.2.3/٢",
        "10.1.2.3/" + "9" * 5000,
        "::ffff:10.1.2.3/129",
        "::ffff:10.1.2.3/-1",
        "::ffff:10.1.2.3/ffff::",
        7,
    ],
)
def test_what_is_no_cidr_is_refused(text: object) -> None:
    """The prefix is a number of bits of the address's family."""
    with pytest.raises(ValueError, match="is not an address in CIDR notation"):
        fields.cidr(text)


@pytest.mark.parametrize(
    "text", ["AA:bb:CC:dd:ee:0f", "aa-bb-cc-dd-ee-0f", "aabb.ccdd.ee0f"]
)
def test_mac_is_read_in_the_usual_forms(text: str) -> None:
    """Colons, dashes and Cisco's dots mean the same."""
    assert fields.mac(text) == "aa:bb:cc:dd:ee:0f"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "aabbccddee0f",
        "aa:bb:cc:dd:ee",
        "aa:bb-cc:dd:ee:0f",
        "aa:bb:cc:dd:ee:0f\n",
        "aa:bb:cc:dd:ee:0g",
        "aa:bb:cc:dd:ee:ff:00:11",
        7,
    ],
)
def test_what_is_no_mac_is_refused(text: object) -> None:
    """Only 48 bits in one form are a MAC."""
    with pytest.raises(ValueError, match="is not a MAC address"):
        fields.mac(text)
