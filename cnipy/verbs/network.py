# SPDX-License-Identifier: Apache-2.0
"""`cnipy network`: a network's list is written, or removed with what only it has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnipy import verbs
from cnipy.command_line import NETWORK
from cnipy.verb import Answer, Lines, Verb
from cnipy.words import add_chosen, add_json

if TYPE_CHECKING:
    import argparse

    from cnipy.context import Context

_DRIVERS = ("bridge", "macvlan", "ipvlan", "ptp")
# What users of Docker and Podman look for here, and the verb that answers it.
_ALIKE = {"ls": "ls", "inspect": "show"}


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = "`cnipy network ACTION --help` says how an action is called"
    actions = parser.add_subparsers(metavar="ACTION", dest="action", required=True)
    create = actions.add_parser("create", help="write the list of a new network")
    create.add_argument("name", metavar="NAME", help="what the network is called")
    _add_kind(create)
    _add_addresses(create)
    _add_reach(create)
    create.add_argument(
        "--dry-run", action="store_true", help="print the list, and write nothing"
    )
    rm = actions.add_parser("rm", help="remove a network that nobody uses")
    rm.add_argument("name", metavar="NETWORK", help=NETWORK)
    ls = actions.add_parser("ls", help="the same as the verb ls")
    inspect = actions.add_parser("inspect", help="the same as the verb show")
    add_chosen(inspect)
    inspect.set_defaults(parts=False, dot=False, svg=None)
    add_json(create, rm, ls, inspect)


def _add_kind(create: argparse.ArgumentParser) -> None:
    create.add_argument(
        "--driver",
        choices=_DRIVERS,
        default="bridge",
        help="the plugin that makes a container's link (bridge)",
    )
    create.add_argument("--bridge", metavar="LINK", help="name of the bridge (br-NAME)")
    create.add_argument(
        "--parent",
        metavar="LINK",
        help="link of the host that macvlan and ipvlan are on (the default route's)",
    )
    create.add_argument("--mode", metavar="MODE", help="of macvlan or ipvlan")
    create.add_argument("--mtu", type=int, metavar="BYTES", help="of the links")


def _add_addresses(create: argparse.ArgumentParser) -> None:
    create.add_argument(
        "--subnet",
        action="append",
        default=[],
        metavar="CIDR",
        help="one of each family. Without any, the first private /24 that the host and "
        "other lists have nothing of; with macvlan and ipvlan a DHCP server's",
    )
    create.add_argument(
        "--gateway",
        action="append",
        default=[],
        metavar="ADDRESS",
        help="of a subnet (its first address)",
    )
    create.add_argument(
        "--ip-range",
        action="append",
        default=[],
        metavar="RANGE",
        help="of a subnet only these are given: CIDR or FIRST-LAST",
    )
    create.add_argument(
        "--ipv6", action="store_true", help="have an IPv6 subnet, if none is named"
    )


def _add_reach(create: argparse.ArgumentParser) -> None:
    create.add_argument(
        "--internal",
        action="store_true",
        help="no default route, no masquerading, no published ports",
    )
    create.add_argument(
        "--isolate",
        action="store_true",
        help="keep other networks that are isolated off, and be kept off theirs",
    )
    create.add_argument(
        "--isolate-containers",
        action="store_true",
        help="the same, and containers do not reach each other either",
    )
    create.add_argument(
        "--no-masquerade",
        action="store_true",
        help="the outside sees the containers' own addresses",
    )
    create.add_argument(
        "--bandwidth", action="store_true", help="containers may be given limits"
    )
    names = create.add_mutually_exclusive_group()
    names.add_argument(
        "--dns-name", metavar="DOMAIN", help="domain of names (dns.internal)"
    )
    names.add_argument(
        "--no-names", action="store_true", help="containers do not find each other so"
    )


def _run(context: Context, options: argparse.Namespace) -> Answer:
    if options.action in _ALIKE:
        return verbs.load(_ALIKE[options.action]).run(context, options)
    return {"create": _create, "rm": _rm}[options.action](context, options)


def _create(context: Context, options: argparse.Namespace) -> Answer:
    from cnipy.lists.creation import create  # noqa: PLC0415 - models are expensive

    made = create(context, options)
    lines = made.text.splitlines() if options.dry_run else [made.file]
    return Lines(made.document(dry_run=options.dry_run), lines)


def _rm(context: Context, options: argparse.Namespace) -> Answer:
    from cnipy.lists.removal import remove  # noqa: PLC0415 - netlink is expensive

    done = remove(context, options.name)
    lines = [f"removed {each}" for each in done.gone]
    return Lines(done.document(), lines + [f"kept {each}" for each in done.kept])


VERB = Verb(
    sentence="create a network by writing its list, or rm one that nobody uses with "
    "what only it has",
    run=_run,
    changes=True,
    add_arguments=_add_arguments,
)
