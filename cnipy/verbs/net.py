# SPDX-License-Identifier: Apache-2.0
"""`cnipy net`: networks of many nodes, and the agent that this node needs for them."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from cni_common.spec.errors import CNIError, Code
from cni_common.spec.values import replace
from cnipy.verb import Answer, Lines, Verb
from cnipy.words import add_json

if TYPE_CHECKING:
    import argparse

    from cnipy.context import Context

_NETWORK = "as `create` called it"
_NODE = "as `blocks` lists them"
_COUNT = 3
_POLL = 5.0
_POLL_MIN = 0.1


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = "`cnipy net ACTION --help` says how an action is called"
    actions = parser.add_subparsers(metavar="ACTION", dest="action", required=True)
    create = actions.add_parser("create", help="write a new network to the store")
    create.add_argument("name", metavar="NAME", help="that no network has")
    _add_pools(create)
    _add_ways(create)
    rm = actions.add_parser("rm", help="remove one that no node is in from the store")
    rm.add_argument("name", metavar="NETWORK", help=_NETWORK)
    join = actions.add_parser("join", help="have this node in a network")
    join.add_argument("name", metavar="NETWORK", help=_NETWORK)
    join.add_argument(
        "--pod-cidr",
        action="append",
        default=[],
        metavar="CIDR|FILE",
        help="the node's block, or a file that has it, as Kubernetes hands it over; "
        "one of each family",
    )
    leave = actions.add_parser("leave", help="have this node in it no longer")
    leave.add_argument("name", metavar="NETWORK", help=_NETWORK)
    leave.add_argument(
        "--offline", action="store_true", help="do not ask the store, which is away"
    )
    actions.add_parser("status", help="how this node's networks are")
    show = actions.add_parser("show", help="what a node says of itself")
    show.add_argument("node", metavar="NODE", help=_NODE)
    blocks = actions.add_parser("blocks", help="which node has which addresses")
    forget = actions.add_parser("forget", help="have no ways to a node that is gone")
    forget.add_argument("node", metavar="NODE", help=_NODE)
    repair = actions.add_parser("repair", help="put back what kernel and store lack")
    ping = actions.add_parser(
        "ping", help="ask a node, or each, through the network itself"
    )
    ping.add_argument(
        "node",
        metavar="NODE",
        nargs="?",
        help=f"{_NODE}; without it all that are known",
    )
    ping.add_argument(
        "-c", "--count", type=int, default=_COUNT, help=f"echo requests ({_COUNT})"
    )
    export = actions.add_parser("export", help="print all that the store has of it")
    for each in (show, blocks, forget, repair, ping, export):
        each.add_argument(
            "--network", metavar="NETWORK", help="of several this one alone"
        )
    agent = actions.add_parser("agent", help="be the agent of this node")
    agent.add_argument(
        "--poll",
        type=float,
        default=_POLL,
        metavar="SECONDS",
        help=f"between two looks at what is new of the others ({_POLL:.0f})",
    )
    add_json(*actions.choices.values())


def _add_pools(create: argparse.ArgumentParser) -> None:
    for version, like, block in (("", "10.64.0.0/10", 26), ("6", "fd00:64::/40", 112)):
        create.add_argument(
            f"--pool{version}",
            metavar="CIDR",
            help=f"addresses of all nodes, such as {like}",
        )
        create.add_argument(
            f"--block{version}",
            type=int,
            default=block,
            metavar="LENGTH",
            help=f"prefix length of what a node takes at once ({block})",
        )


def _add_ways(create: argparse.ArgumentParser) -> None:
    from cnipy.net import records  # noqa: PLC0415 - of an action alone

    create.add_argument(
        "--backend",
        choices=records.BACKENDS,
        default=records.GPE,
        help=f"how packets get from node to node ({records.GPE})",
    )
    create.add_argument(
        "--vni", type=int, metavar="NUMBER", help="number of the network (the next one)"
    )
    create.add_argument(
        "--port", type=int, metavar="NUMBER", help="UDP, between nodes (the backend's)"
    )
    create.add_argument(
        "--underlay",
        action="append",
        default=[],
        metavar="CIDR",
        help="where addresses of nodes may be (anywhere); repeatable",
    )
    create.add_argument(
        "--mtu",
        type=int,
        metavar="BYTES",
        help="of containers' links (as the underlay has)",
    )
    create.add_argument(
        "--policy",
        choices=records.POLICIES,
        default=records.OPEN,
        help=f"who reaches containers from other networks ({records.OPEN})",
    )
    create.add_argument(
        "--forget-after",
        type=int,
        default=0,
        metavar="SECONDS",
        help="forget a node that was not heard of for so long (0: never)",
    )
    names = create.add_mutually_exclusive_group()
    names.add_argument("--domain", metavar="DOMAIN", help="domain of names (NAME)")
    names.add_argument(
        "--no-names", action="store_true", help="containers do not find each other so"
    )


def _run(context: Context, options: argparse.Namespace) -> Answer:
    return _ACTIONS[options.action](context, options)


def _create(context: Context, options: argparse.Namespace) -> Answer:
    from cnipy.cluster.creation import create  # noqa: PLC0415 - netlink is expensive

    made = create(context, options)
    lines = [f"created {made.name}: `cnipy net join {made.name}` on each node"]
    if made.port:
        lines.append(f"open UDP port {made.port} between the nodes")
    return Lines(made.document(), lines)


def _rm(context: Context, options: argparse.Namespace) -> Answer:
    from cnipy.cluster.removal import remove  # noqa: PLC0415 - as above

    del context
    remove(options.name)
    return Lines({"removed": options.name}, [f"removed {options.name}"])


def _join(context: Context, options: argparse.Namespace) -> Answer:
    from cnipy.cluster import joining, stored  # noqa: PLC0415 - as above

    conf = stored.conf()
    done = joining.join(context, conf, options.name, tuple(options.pod_cidr))
    done.has_agent = joining.tell_agent(context)
    if not done.has_agent:
        way_out = "`systemctl start cnipy-net`, or keep `cnipy net agent` running"
        context.tell(f"warning: no agent runs: {way_out}")
    lines = [f"{done.node} is in {done.network}: {' '.join(done.blocks)}", done.file]
    return Lines(done.document(), lines)


def _leave(context: Context, options: argparse.Namespace) -> Answer:
    from cnipy.cluster import joining, stored  # noqa: PLC0415 - as above

    conf = stored.conf()
    done = joining.leave(context, conf, options.name, offline=options.offline)
    joining.tell_agent(context)
    if options.name in conf.networks:
        context.tell(f"warning: net.toml has the next agent join {options.name}")
    lines = [f"removed {each}" for each in done.gone]
    return Lines(done.document(), lines + [f"kept {each}" for each in done.kept])


def _status(context: Context, options: argparse.Namespace) -> Answer:
    from cnipy.cluster.looking import status  # noqa: PLC0415 - as above

    del context, options
    return status()


def _show(context: Context, options: argparse.Namespace) -> Answer:
    from cnipy.cluster.looking import node  # noqa: PLC0415 - as above

    del context
    return node(options.node, options.network)


def _blocks(context: Context, options: argparse.Namespace) -> Answer:
    from cnipy.cluster.looking import blocks  # noqa: PLC0415 - as above

    del context
    return blocks(options.network)


def _forget(context: Context, options: argparse.Namespace) -> Answer:
    from cnipy.cluster.removal import forget  # noqa: PLC0415 - as above

    del context
    gone = forget(options.node, options.network)
    return Lines(
        {"node": options.node, "removed": gone}, [f"removed {e}" for e in gone]
    )


def _repair(context: Context, options: argparse.Namespace) -> Answer:
    from cnipy.cluster.mending import repair  # noqa: PLC0415 - as above

    done = repair(context, options.network)
    return Lines({"done": done}, done or ["nothing is amiss"])


def _ping(context: Context, options: argparse.Namespace) -> Answer:
    from cnipy.cluster.echo import ping  # noqa: PLC0415 - as above

    del context
    return ping(options.node, options.network, options.count)


def _export(context: Context, options: argparse.Namespace) -> Answer:
    import json  # noqa: PLC0415 - the parser needs none

    from cnipy.cluster.looking import everything  # noqa: PLC0415 - as above

    del context
    document = everything(options.network)
    return Lines(document, json.dumps(document, indent=4).splitlines())


def _agent(context: Context, options: argparse.Namespace) -> Answer:
    from cnipy.cluster import joining, stored  # noqa: PLC0415 - as above
    from cnipy.net.agent import server  # noqa: PLC0415 - it brings asyncio

    if options.poll < _POLL_MIN:
        msg = f"read --poll {options.poll}: less than {_POLL_MIN}"
        raise CNIError(Code.INVALID_ENVIRONMENT, msg)
    conf = stored.conf()

    def tell(line: str) -> None:
        with suppress(OSError):  # as of a log on a full disk, which ends no agent
            context.tell(line)

    surviving = replace(context, tell=tell)

    def join(name: str) -> object:
        return joining.join(surviving, conf, name)

    node = server.Node(conf, options.poll, join, tell)
    server.serve(node, context.env)
    return Lines({"ended": "asked to"})


_ACTIONS = {
    "create": _create,
    "rm": _rm,
    "join": _join,
    "leave": _leave,
    "status": _status,
    "show": _show,
    "blocks": _blocks,
    "forget": _forget,
    "repair": _repair,
    "ping": _ping,
    "export": _export,
    "agent": _agent,
}
VERB = Verb(
    sentence="networks that many nodes share by a store: create, join, look, mend; and "
    "the agent (docs/many-nodes.md)",
    run=_run,
    changes=True,
    add_arguments=_add_arguments,
)
