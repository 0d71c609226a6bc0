# SPDX-License-Identifier: Apache-2.0
"""The addresses of a node as a cluster hands them over: in a text, or in a file."""

from __future__ import annotations

from cni_common import trusted_path
from cni_common.spec.errors import CNIError, Code, of_os
from cni_common.spec.fields import subnet
from cni_common.spec.values import NamedTuple

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Iterable

    from cni_common.spec.fields import IPNetwork

# What flannel and k3s call a node's CIDR, which they write as its first address, and
# the whole network's.
_SUBNETS = ("FLANNEL_SUBNET", "FLANNEL_IPV6_SUBNET")
_NETWORKS = ("FLANNEL_NETWORK", "FLANNEL_IPV6_NETWORK")


class PodCidr(NamedTuple):
    """CIDRs of the node, and the networks that they are parts of, if those are told."""

    blocks: tuple[IPNetwork, ...] = ()
    pools: tuple[IPNetwork, ...] = ()


def of_text(text: str) -> tuple[IPNetwork, ...]:
    """Return CIDRs that are separated by commas or white space; raises ValueError."""
    return tuple(subnet(word) for word in text.replace(",", " ").split())


def of_file(path: str) -> PodCidr:
    """Return what the file says: flannel's variables, or CIDRs.

    Raises Code.TRY_AGAIN_LATER while it is not there or names none, since the cluster
    hands them over when the node has joined; Code.IO_FAILURE for a file that others
    could have written; Code.DECODE_FAILURE for anything else in it.
    """
    try:
        text = trusted_path.read(path).decode()
        found = _read(line.strip() for line in text.splitlines())
    except FileNotFoundError as error:
        msg = f"read podCIDRFile {path}: no such file"
        raise CNIError(Code.TRY_AGAIN_LATER, msg, _WAIT) from error
    except OSError as error:
        raise of_os(f"read podCIDRFile {path}", error) from error
    except ValueError as error:
        msg = f"read podCIDRFile {path}: {error}"
        raise CNIError(Code.DECODE_FAILURE, msg, _FORM) from error
    if not found.blocks:
        msg = f"read podCIDRFile {path}: it names no CIDR"
        raise CNIError(Code.TRY_AGAIN_LATER, msg, f"{_WAIT}; {_FORM}")
    return found


_WAIT = "what joins the node to its cluster writes it when the node has been given one"
_FORM = "there may be FLANNEL_SUBNET and FLANNEL_IPV6_SUBNET, or CIDRs and no variable"


def _read(lines: Iterable[str]) -> PodCidr:
    blocks: list[IPNetwork] = []
    pools: list[IPNetwork] = []
    for line in lines:
        if not line or line.startswith("#"):
            continue
        name, is_variable, value = line.partition("=")
        value = value.strip("\"' ")
        if not is_variable:
            blocks += of_text(line)
        elif name in _SUBNETS:
            blocks += of_text(value)
        elif name in _NETWORKS:
            pools += of_text(value)
    return PodCidr(tuple(blocks), tuple(pools))
