# SPDX-License-Identifier: Apache-2.0
"""Certificates, users and rights of docs/many-nodes.md are enough, and not too much."""

from __future__ import annotations

import os
from dataclasses import replace
from ipaddress import ip_address
from typing import TYPE_CHECKING

import pytest
from etcd_member import Authority, Member
from lab import need, run
from page_blocks import blocks
from unit.net.nodes import CONFIG, Clock, Node, Nodes, go_until_known

from cnipy.net import keys
from cnipy.net.membership import claims
from cnipy.net.records import NodeRecord, new_identity
from cnipy.net.store import DeniedError, Store, open_store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import ExitStack
    from pathlib import Path


def block(beginning: str) -> str:
    """Return the block of the page that begins like this."""
    (found,) = (b.text for b in blocks("many-nodes") if b.text.startswith(beginning))
    return found


@pytest.fixture
def member(tmp_path: Path) -> Iterator[Member]:
    made = Member(tmp_path, Authority(tmp_path), arguments=("--bcrypt-cost", "4"))
    made.start()
    yield made
    made.kill()


def typed(member: Member, *texts: str) -> None:
    """Run blocks in the directory of a member, in one shell."""
    need("etcdctl")
    assert member.authority
    at = member.authority.directory
    member.authority.issue("ctl", "DNS:ctl")
    env = {
        **os.environ,
        "ETCDCTL_API": "3",
        "ETCDCTL_ENDPOINTS": member.endpoint,
        "ETCDCTL_CACERT": str(at / "ca.crt"),
        "ETCDCTL_CERT": str(at / "ctl.crt"),
        "ETCDCTL_KEY": str(at / "ctl.key"),
    }
    run("bash", "-euc", "\n".join(texts), cwd=at, env=env)


def store_of(member: Member, node: str) -> Store:
    """Return the store as the node opens it by what the page gave it."""
    assert member.authority
    at = member.authority.directory
    return open_store(
        member.settings(
            certificate=str(at / f"{node}.crt"),
            key=str(at / f"{node}.key"),
            user=node,
            password_file=str(at / f"{node}.password"),
        )
    )


def test_nodes_have_the_rights_that_they_need(
    member: Member, open_by: ExitStack
) -> None:
    """By the page's commands two nodes join, publish, know each other, and leave; the
    record of the other is not theirs to write, nor is the configuration.
    """
    of_node = tuple(
        map(block, ("node=alpha\nopenssl", "node=alpha\n(umask", "network=apps node"))
    )
    beta = [each.replace("alpha", "beta") for each in of_node]
    member.ctl("put", keys.config("apps"), CONFIG.content().decode())
    typed(
        member,
        block("head -c 30"),
        block("network=apps\netcdctl"),
        *of_node,
        *beta,
    )
    nodes = []
    net = Nodes(open_by.enter_context(store_of(member, "alpha")), Clock(), nodes)
    for number, name in enumerate(("alpha", "beta"), 1):
        address = (ip_address("198.18.0.0") + number,)
        own = NodeRecord(name, address, identity=new_identity())
        node = Node(open_by.enter_context(store_of(member, name)), net.clock, own)
        node.join()
        nodes.append(node)
    go_until_known(net)
    assert [node.refusals for node in nodes] == [[], []]
    alpha, beta_node = nodes
    stolen = replace(beta_node.own, seq=99)
    with pytest.raises(DeniedError):
        claims.put(alpha.store, CONFIG, stolen)
    with pytest.raises(DeniedError):
        alpha.store.put(keys.config("apps"), b"")
    with pytest.raises(DeniedError):
        alpha.store.create(keys.vni(8), b"mine")
    claims.leave(alpha.store, CONFIG, alpha.own)
