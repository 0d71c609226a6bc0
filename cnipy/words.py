# SPDX-License-Identifier: Apache-2.0
"""Arguments that several verbs have, and what they answer of an attachment."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from cni_common.spec.values import replace
from cnipy.command_line import CONTAINER, NETWORK

if TYPE_CHECKING:
    from cnipy.attachment import Attachment
    from cnipy.context import Context


def add_network_and_netns(parser: argparse.ArgumentParser) -> None:
    """Have NETWORK and NETNS on the command line, and the interface in there."""
    parser.add_argument("network", metavar="NETWORK", help=NETWORK)
    parser.add_argument("netns", metavar="NETNS", help=CONTAINER)
    parser.add_argument(
        "--ifname", metavar="IFNAME", help="name of the link in the container (eth0)"
    )


def add_network_unread_netns(parser: argparse.ArgumentParser) -> None:
    """Have NETWORK, which may be left out, and NETNS without effect, as cnitool has."""
    parser.add_argument("network", metavar="NETWORK", nargs="?", help=NETWORK)
    parser.add_argument("netns", metavar="NETNS", nargs="?", help="not looked at")


def add_chosen(parser: argparse.ArgumentParser) -> None:
    """Have NETWORK and CONTAINER, by which attachments on record are chosen."""
    what = f"{NETWORK}; without it all, and CONTAINER may stand alone"
    parser.add_argument("network", metavar="NETWORK", nargs="?", help=what)
    parser.add_argument("container", metavar="CONTAINER", nargs="?", help=CONTAINER)


def add_living(parser: argparse.ArgumentParser) -> None:
    """Have CONTAINER, and which of its attachments is meant where it has several."""
    parser.add_argument("container", metavar="CONTAINER", help=CONTAINER)
    parser.add_argument("--network", metavar="NETWORK", help="of several this one")
    parser.add_argument("--ifname", metavar="IFNAME", help="of several the one there")


def add_json(*actions: argparse.ArgumentParser) -> None:
    """Have --json behind an action, too, as the verb has it before."""
    for each in actions:
        # Without a default, which would take the place of the verb's value.
        each.add_argument(
            "--json",
            action="store_true",
            default=argparse.SUPPRESS,
            help="print a JSON document",
        )


def add_ports(parser: argparse.ArgumentParser, form: str, more: str) -> None:
    """Add PORT..., of that form."""
    told = f"[HOSTIP:]{form}[/tcp|udp|sctp], {more}"
    parser.add_argument("ports", metavar="PORT", nargs="+", help=told)


def with_ifname(context: Context, options: argparse.Namespace) -> Context:
    """Return the context with CNI_IFNAME as the command line says, if it does."""
    if options.ifname is None:
        return context
    return replace(context, env={**context.env, "CNI_IFNAME": options.ifname})


def document(network: str, attachment: Attachment) -> dict[str, Any]:
    """Return the JSON values that tell of which attachment an answer is."""
    return {
        "network": network,
        "containerID": attachment.container_id,
        "ifname": attachment.ifname,
        "netns": attachment.netns,
    }


def add_wishes(parser: argparse.ArgumentParser) -> None:
    """Add what may be asked for a new attachment (cnipy/asked.py)."""
    parser.add_argument(
        "-p",
        "--publish",
        action="append",
        metavar="PORT",
        help="[HOSTIP:]HOSTPORT:PORT[/tcp|udp|sctp], both may be ranges; repeatable",
    )
    parser.add_argument(
        "--ip", action="append", metavar="ADDRESS", help="ask for it; repeatable"
    )
    parser.add_argument("--mac", metavar="MAC", help="of the link in the container")
    parser.add_argument("--name", metavar="NAME", help="that neighbours find it by")
    parser.add_argument(
        "--alias", action="append", metavar="NAME", help="a further one; repeatable"
    )
    for way, what in (("ingress", "receives"), ("egress", "sends")):
        parser.add_argument(
            f"--limit-{way}",
            metavar="RATE",
            help=f"it {what} at most so many bits a second: 10M, 1.5Gbit",
        )


def has_wishes(options: argparse.Namespace) -> bool:
    """Tell whether anything of that is asked for."""
    limits = options.limit_ingress, options.limit_egress
    ports, names = options.publish, (options.name, options.alias)
    return any((ports, options.ip, options.mac, *names, *limits))
