# SPDX-License-Identifier: Apache-2.0
"""Which names are served, in which forms, and what dnsmasq is told."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cni_common.names import dnsmasq, host_names
from cni_common.names.dnsmasq import Service
from cni_common.naming import Attachment
from cni_common.parts.names import Names
from cni_common.spec.errors import CNIError


@pytest.mark.parametrize(
    "name", ["web", "my_web", "_dmarc", "1", "a" * 63, "a.b-c.d", "Web", "x.localhost"]
)
def test_host_names_are_served(name: str) -> None:
    """Letters, digits, hyphens inside, underscores, labels up to 63."""
    assert host_names.is_host_name(name)


@pytest.mark.parametrize(
    "name",
    (
        *("", ".", "a.", ".a", "a..b", "-a", "a-", "a b", "a\n10.0.0.1 b", "a" * 64),
        *("é", "a#b", "a*", "a/b", "localhost", "LocalHost", ".".join(["a" * 63] * 4)),
    ),
)
def test_what_is_no_host_name_is_not_served(name: str) -> None:
    """Whatever would say something else in a hosts file, or is too long, is none."""
    assert not host_names.is_host_name(name)
    assert host_names.served([name], "") == []


def test_simple_name_is_served_with_and_without_the_domain() -> None:
    """The whole name comes first, because it answers questions for the address."""
    assert host_names.served(["web"], "dns.podman") == ["web.dns.podman", "web"]


def test_name_with_a_dot_is_served_below_the_domain_only() -> None:
    """A container cannot take the name of somebody in the Internet."""
    assert host_names.served(["example.org"], "dns.podman") == [
        "example.org.dns.podman"
    ]
    assert host_names.served(["example.org"], "") == []


def test_name_of_the_domain_is_served_as_it_is() -> None:
    """A name that ends with the domain does not get it a second time."""
    assert host_names.served(["web.DNS.podman"], "dns.podman") == ["web.DNS.podman"]


def test_every_name_is_served_once() -> None:
    """Names that differ in case only are one name to DNS."""
    assert host_names.served(["web", "WEB", "web"], "") == ["web"]


def test_name_too_long_with_the_domain_is_served_alone() -> None:
    """What fits only without the domain is served without it."""
    domain = ".".join(["d" * 60] * 4)
    assert host_names.served(["web", "a" * 20], domain) == [
        f"web.{domain}",
        "web",
        "a" * 20,
    ]


@given(st.lists(st.text()), st.sampled_from(["", "dns.podman"]))
def test_no_name_adds_a_line(asked: list[str], domain: str) -> None:
    """Whatever the names are, each address has one line with its names only."""
    address = ipaddress.ip_address("10.1.2.3")
    served = host_names.served(asked, domain)
    names = Names(names=tuple(served), addresses=(address,), servers=())
    text = names.hosts(Attachment("net", "web", "eth0"))
    comment, *lines = text.splitlines()
    assert comment == "# net web eth0"
    assert lines == ([f"10.1.2.3 {' '.join(served)}"] if served else [])
    assert all(part.isascii() for part in served)


def test_configuration_says_what_is_served() -> None:
    """Links, domain and servers stand in the text, and the host's names do not."""
    service = Service(("br0", "br1"), "dns.podman", ("1.1.1.1", "2001:db8::1"))
    lines = dnsmasq.configuration("net", service, "/d", "/d/hosts").splitlines()
    wanted = ["interface=br0", "interface=br1", "except-interface=lo", "bind-dynamic"]
    wanted += ["local=/dns.podman/", "hostsdir=/d/hosts", "no-hosts", "local=//"]
    wanted += ["no-resolv", "server=1.1.1.1", "server=2001:db8::1", "pid-file=/d/pid"]
    assert set(wanted) <= set(lines)


def test_configuration_asks_one_server_for_the_domain() -> None:
    """What is not known of it, and of the pools in reverse, and of nothing else."""
    pools = (ipaddress.ip_network("10.64.0.0/10"), ipaddress.ip_network("fd00::/40"))
    service = Service(("br0",), "apps", (), "127.0.0.1#4793", pools)
    lines = dnsmasq.configuration("net", service, "/d", "/d/hosts").splitlines()
    wanted = ["server=/apps/127.0.0.1#4793", "rev-server=fd00::/40,127.0.0.1#4793"]
    assert set(wanted) <= set(lines)
    assert "rev-server=10.64.0.0/10,127.0.0.1#4793" in lines
    assert "local=/apps/" not in lines


def test_configuration_without_servers_goes_by_the_host() -> None:
    """Without remoteServers dnsmasq reads /etc/resolv.conf, as it does by itself."""
    text = dnsmasq.configuration("net", Service(("br0",)), "/d", "/d/hosts")
    assert "resolv" not in text
    assert "local=/" not in text.replace("local=//\n", "")


@pytest.mark.parametrize("name", ["br*", "a,b", 'a"', "a#b", "a\\", "\xe9", ""])
def test_link_that_dnsmasq_would_misread_is_refused(name: str) -> None:
    """A link's name with a character of dnsmasq's own language is code 7."""
    with pytest.raises(CNIError, match="cannot be told its name") as caught:
        dnsmasq.check_link(name)
    assert caught.value.code == 7


def test_only_our_command_line_is_ours() -> None:
    """A process is known by the path of our configuration, which no other has."""
    words = dnsmasq.command("/usr/sbin/dnsmasq", "/d/dnsmasq.conf")
    assert dnsmasq.is_ours(words, "/d/dnsmasq.conf")
    assert not dnsmasq.is_ours(words, "/e/dnsmasq.conf")
    assert not dnsmasq.is_ours([], "/d/dnsmasq.conf")
    assert not dnsmasq.is_ours([*words, "--keep-in-foreground"], "/d/dnsmasq.conf")
