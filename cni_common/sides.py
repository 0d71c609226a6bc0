# SPDX-License-Identifier: Apache-2.0
"""The two network namespaces of an attachment, with a netlink socket in each."""

from __future__ import annotations

from contextlib import contextmanager

from cni_common.kernel import links, netns
from cni_common.kernel.netlink import Netlink
from cni_common.spec.errors import CNIError, Code
from cni_common.spec.values import dataclass

TYPE_CHECKING = False  # see launcher/entry.py
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Protocol

    from cni_common.kernel.netns import Namespace
    from cni_common.spec.request import Request

    class Namespaces(Protocol):
        """The host's and the container's netlink socket, and the container's netns."""

        @property
        def host(self) -> Netlink:
            """A socket of the host's namespace."""

        @property
        def container(self) -> Netlink:
            """A socket of the container's namespace."""

        @property
        def namespace(self) -> Namespace:
            """The container's namespace."""


@dataclass(frozen=True)
class Sides:
    """The host's and the container's side; `namespace` is the container's."""

    host: Netlink
    container: Netlink
    namespace: Namespace


@contextmanager
def sides(path: str) -> Iterator[Sides]:
    """Yield the host's side and that of the namespace at `path`; raises code 8."""
    with netns.open_path(path) as namespace, Netlink() as host:
        with netns.entered(namespace):
            container = Netlink()
        with container:
            yield Sides(host, container, namespace)


def refuse_elsewhere(
    side: Namespaces, request: Request, path: str, identity: str
) -> None:
    """Raise code 999 if the attachment lives in another namespace than CNI_NETNS.

    `path` and `identity` are those of the namespace in which it was made.
    """
    if identity != side.namespace.identity and netns.lives(path, identity):
        msg = f"add interface {request.ifname}: container {request.container_id}"
        raise CNIError(Code.INTERNAL, f"{msg} has it in {path}")


def refuse_existing(side: Namespaces, request: Request) -> None:
    """Raise code 999 if the container has CNI_IFNAME already (section 2, ADD)."""
    if links.get(side.container, request.ifname) is not None:
        raise existing(side, request.ifname)


def existing(side: Namespaces, name: str) -> CNIError:
    """Return the error that the container has an interface `name` already."""
    msg = f"add interface {name}: it already exists"
    return CNIError(Code.INTERNAL, msg, f"in {side.namespace.path}")
