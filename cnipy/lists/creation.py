# SPDX-License-Identifier: Apache-2.0
"""`cnipy network create`: a new list, out of words, beside those that are there."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from cni_common import naming, programs
from cni_common.frame.delegate import find
from cni_common.spec.errors import CNIError, Code
from cni_common.spec.values import dataclass
from cnipy import doubts
from cnipy import network as networks
from cnipy.doubts import between
from cnipy.doubts.doubt import NOTE
from cnipy.doubts.entries import entries
from cnipy.lists import directory as directories
from cnipy.lists import taken, wanted
from cnipy.lists.composing import composed

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from cni_common.spec.fields import IPNetwork
    from cnipy.context import Context
    from cnipy.lists.directory import Directory
    from cnipy.lists.wanted import Range

_ON_LINK = ("macvlan", "ipvlan")
_NAMES = "dnsname"
_DOMAIN = "dns.internal"  # reserved for what is private, as Podman has dns.podman


@dataclass(frozen=True)
class Created:
    """A list, and the path of its file."""

    file: str
    text: str

    def document(self, *, dry_run: bool) -> dict[str, Any]:
        """Return it as JSON values."""
        told = {"file": self.file, "dryRun": dry_run}
        return {**told, "list": json.loads(self.text)}


def create(context: Context, options: argparse.Namespace) -> Created:
    """Write the list that the words ask for; with `dry_run` only return it.

    Raises CNIError, with nothing changed, for words that make no sense, for what
    somebody has already, and for what plugins would refuse.
    """
    directories.check_name("create", options.name)
    wanted.check(options)
    if options.dry_run:
        return _made(context, options, context.conf_directory)
    with directories.locked(context.conf_directory, create=True) as directory:
        _check_removal(directory, options.name)
        made = _made(context, options, directory.path)
        directory.write(os.path.basename(made.file), made.text)
    return made


def _made(context: Context, options: argparse.Namespace, path: str) -> Created:
    """Return the list, which nothing that there is has anything against."""
    lists = taken.members(context.suite, path)
    _check_name(path, options.name)
    if options.driver == "bridge":
        bridge = options.bridge or naming.bridge_of(options.name)
        taken.check_bridge(bridge, lists, is_named=bool(options.bridge))
    if options.parent:
        taken.check_parent(options.parent)
    ranges = _ranges(context, options, lists)
    wanted.check_mtu(options.mtu, ranges)
    whole = composed(options, ranges, domain=_domain(context, options))
    text = json.dumps(whole, indent=2) + "\n"
    there = os.listdir(path) if os.path.isdir(path) else []
    endings = (*networks.LISTS, *networks.SINGLE)
    listed = [each for each in there if each.endswith(endings)]
    file = os.path.join(path, directories.file_name(options.name, listed))
    _validate(context, text, file, lists)
    return Created(file, text)


def _check_name(path: str, name: str) -> None:
    for other, file in networks.listed(path):
        if other == name:
            msg = f"create network {name}: {file} has the name"
            raise CNIError(Code.INVALID_CONFIG, msg, f"`cnipy network rm {name}`")


def _check_removal(directory: Directory, name: str) -> None:
    if directory.hidden(name):
        msg = f"create network {name}: the removal of one of that name has not ended"
        raise CNIError(Code.INVALID_CONFIG, msg, f"`cnipy network rm {name}` ends it")


def _ranges(
    context: Context, options: argparse.Namespace, lists: Sequence[between.Member]
) -> list[Range]:
    subnets = wanted.subnets(options.subnet)
    on_link = options.driver in _ON_LINK
    held = taken.by_lists(context.suite, lists)
    if not on_link:
        # On a link of the host its own subnet is what containers are to be in.
        held += taken.by_host(apart=options.bridge or "")
    taken.check(subnets, held)
    return wanted.ranges(
        [*subnets, *_chosen(options, subnets, held)], options.gateway, options.ip_range
    )


def _chosen(
    options: argparse.Namespace,
    subnets: Sequence[IPNetwork],
    held: Sequence[taken.Taken],
) -> list[IPNetwork]:
    """Return subnets that nobody has, for families that are to have one."""
    if options.driver in _ON_LINK:
        if options.ipv6 and not subnets:
            msg = f"create network {options.name}: --ipv6 needs a --subnet of the link"
            raise CNIError(Code.INVALID_ENVIRONMENT, msg)
        return []
    versions = {each.version for each in subnets}
    found = [] if versions else [taken.free_ipv4(held)]
    if options.ipv6 and wanted.IPV6 not in versions:
        found.append(taken.free_ipv6(held))
    return found


def _domain(context: Context, options: argparse.Namespace) -> str | None:
    """Return the domain of the network's names, or None for a network without.

    Raises CNIError where the words name a domain and nothing serves it.
    """
    if options.no_names or options.driver != "bridge":
        return None
    try:
        find(_NAMES, context.plugin_path)
        programs.find("dnsmasq", "dnsmasq-base", context.env)
    except CNIError as error:
        if options.dns_name:
            raise
        text = f"containers of {options.name} will have no names: {error}"
        context.tell(f"warning: {text}")
        return None
    return options.dns_name or _DOMAIN


def _validate(
    context: Context, text: str, file: str, lists: Sequence[between.Member]
) -> None:
    """Raise Code.INVALID_CONFIG for the first thing that is wrong with the list."""
    suite = context.suite
    network = networks.parse(text.encode(), file)
    listed = entries(suite, network)
    for entry in listed:
        for kind in filter(None, (entry.kind, entry.ipam)):
            find(kind, context.plugin_path)
    member = between.Member(network.name, file, listed)
    found = [
        *doubts.of_network(suite, network),
        *between.of_files(suite, member, lists),
    ]
    for each in found:
        if each.level != NOTE:
            msg = f"create network {network.name}: {each.text}"
            raise CNIError(Code.INVALID_CONFIG, msg)
