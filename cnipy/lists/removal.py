# SPDX-License-Identifier: Apache-2.0
"""`cnipy network rm`: a list that nobody uses, and what its plugins keep without users.

DEL of the last container takes along rules, tables, names and leases. What stays is the
bridge, the directory in which host-local remembers where to go on, and what tables have
of containers that are gone, where records were lost.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from cni_common import naming, state
from cni_common.attachment.part import class_of
from cni_common.frame.rollback import Gather
from cni_common.kernel import addresses, link_removal, links
from cni_common.kernel.netlink import Netlink
from cni_common.kernel.requests import LinkRequest
from cni_common.spec import gojson
from cni_common.spec.errors import CNIError, Code
from cni_common.spec.values import dataclass, field
from cnipy import addresses as pools
from cnipy import dead, leases, ruleset
from cnipy import network as networks
from cnipy.doubts import between
from cnipy.doubts.entries import entries
from cnipy.lists import directory as directories
from cnipy.lists import taken

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cni_common.kernel.link_answer import Link
    from cnipy.context import Context
    from cnipy.lists.directory import Directory
    from cnipy.network import Network

_SHOWN = 5


@dataclass
class Removed:
    """What is gone, and what of the network stays and why."""

    file: str
    gone: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)

    def document(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {"file": self.file, "removed": self.gone, "kept": self.kept}


def remove(context: Context, name: str) -> Removed:
    """Remove the list of a network that nobody uses, and what only it has.

    A removal that was killed is brought to its end. Raises CNIError, with nothing
    changed, for a network that is not there or that somebody uses, who is named.
    """
    directories.check_name("remove", name)
    with (
        directories.locked(context.conf_directory, create=False) as directory,
        context.cache.locked(alone=True),
    ):
        file, network = _found(directory, name)
        member = between.Member(name, file, entries(context.suite, network))
        listed = taken.members(context.suite, directory.path)
        case = _Case(context, network, member, [m for m in listed if m.name != name])
        case.check_unused()
        if file != directory.hidden(name):
            directory.hide(file, name)
            with ExitStack() as undo:
                undo.callback(directory.show, file, name)
                case.check_unused()  # by an ADD that had read the list before
                undo.pop_all()
        done = Removed(file, [f"list {file}"])
        case.collect(done)  # which asks for routes by the bridge
        for bridge in case.bridges():
            case.remove_bridge(bridge, done)
        for place in pools.directories(network):
            leases.remove_directory(place, name, done.gone, done.kept)
        directory.forget(name)
    return done


def _found(directory: Directory, name: str) -> tuple[str, Network]:
    """Return file and list of a network, also of one whose removal has not ended."""
    files = [file for each, file in networks.listed(directory.path) if each == name]
    hidden = directory.hidden(name)
    if not files and not hidden:
        networks.load(directory.path, name)  # says what there is
    if len(files) > 1:
        msg = f"remove network {name}: {len(files)} files have the name"
        raise CNIError(Code.INVALID_CONFIG, msg, f"keep one of {' '.join(files)}")
    file = files[0] if files else hidden
    directory.check_file(file)
    document = gojson.load_object(networks.content(file), file)
    is_list = gojson.member(document, "plugins") is not None
    return file, networks.read(file) if is_list else networks.read_single(file)


@dataclass(frozen=True)
class _Case:
    """The network that is to go, and the others."""

    context: Context
    network: Network
    member: between.Member
    others: list[between.Member]

    def check_unused(self) -> None:
        """Raise Code.INVALID_CONFIG if anybody uses it, saying who."""
        users = [*self._users()]
        if users:
            name = self.network.name
            msg = f"remove network {name}: it is used by {len(users)}"
            more = ["..."] if len(users) > _SHOWN else []
            hint = ", ".join([*users[:_SHOWN], *more])
            hint += f"; `cnipy del {name} CONTAINER` detaches, `cnipy gc` what is gone"
            raise CNIError(Code.INVALID_CONFIG, msg, hint)

    def bridges(self) -> list[str]:
        """Return the bridges that the list names."""
        return list(dict.fromkeys(bridge for bridge, _ in taken.bridges([self.member])))

    def _users(self) -> Iterator[str]:
        """Yield attachments, leases of others, and ports that nobody knows of."""
        name, context = self.network.name, self.context
        known = set()
        traces = dead.traces(context.runtime, context.suite.recording)
        for owner, left in sorted(traces.items(), key=lambda pair: pair[0]):
            if owner.network == name:
                known.add(owner.container_id)
                lives = "" if left.lives or left.unclear else " (gone)"
                yield f"{owner.container_id}/{owner.ifname}{lives}"
        for place in pools.directories(self.network):
            for lease in leases.of_network(place, name):
                if lease.container_id not in known:
                    yield f"{lease.container_id} with a lease of {lease.address}"
        if not known:
            yield from self._ports()

    def _ports(self) -> Iterator[str]:
        """Yield ports of containers on bridges that no other list names."""
        for entry in self.member.entries:
            conf: Any = entry.conf
            if entry.kind != "bridge" or not entry.is_ours or conf.has_vlans:
                continue
            if not taken.others(self.others, conf.bridge):
                for port in _on(conf.bridge):
                    if port.kind == "veth":
                        yield f"port {port.name} of {conf.bridge}"

    def collect(self, done: Removed) -> None:
        """Take from the tables what nobody uses; tell which tables are gone.

        Elements whose records were lost, of containers that are gone, and tables that
        have none: each plugin's GC does so, under the table's own lock.
        """
        errors = Gather()
        before = errors.attempt(ruleset.tables) or []
        for entry in self.member.entries if before else ():
            scheme = entry.is_ours and self.context.suite.plugin(entry.kind).scheme
            for kind in scheme.kinds if scheme else ():
                collect = class_of(kind).collect
                errors.attempt(collect, self.network.name, frozenset())
        after = errors.attempt(ruleset.tables) if before else before
        if after is not None:
            done.gone += [f"table {table}" for table in before if table not in after]
        done.kept += [f"tables: {error}" for error in errors.raised]

    def remove_bridge(self, name: str, done: Removed) -> None:
        """Delete a bridge of ours that nobody uses; tell one that stays."""
        with state.lock(f"bridge-{name}"), Netlink() as netlink:
            link = links.get(netlink, name)
            if link is None:
                return
            cause = self._why_kept(netlink, link)
            if cause:
                done.kept.append(f"bridge {name}: {cause}")
                return
            link_removal.delete(link)
        link_removal.settle()
        done.gone.append(f"bridge {name}")

    def _why_kept(self, netlink: Netlink, link: Link) -> str:
        others = taken.others(self.others, link.name)
        if others:
            return f"network {others[0].name} in {others[0].file} has it, too"
        if link.kind != "bridge" or link.alias != naming.BRIDGE_ALIAS:
            return "no plugin of this suite has made it"
        if standing := [each.name for each in _on(link.name)]:
            return f"there are links on it: {' '.join(standing[:_SHOWN])}"
        subnets = [
            each.subnet for each in taken.by_lists(self.context.suite, [self.member])
        ]
        for held in addresses.of_link(netlink, link):
            address = held.address
            if not address.is_link_local and address.network not in subnets:
                return f"it has {address}, which is none of the network"
        return ""


def _on(bridge: str) -> list[Link]:
    """Return the ports of a bridge of the host, and what else stands on it."""
    with Netlink() as netlink:
        link = links.get(netlink, bridge)
        there = links.listed(netlink, LinkRequest())
    if link is None:
        return []
    # Of a veth that is the index of its peer, which may be in another namespace.
    above = [each for each in there if each.kind != "veth" and each.peer == link.index]
    return [each for each in there if each.master == link.index] + above
