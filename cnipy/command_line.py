# SPDX-License-Identifier: Apache-2.0
"""The words of the command line."""

from __future__ import annotations

import argparse

from cnipy import units
from cnipy.cache import DEFAULT as CACHE

CONF_DIRECTORY = "/etc/cni/net.d"
PLUGIN_DIRECTORY = "/opt/cni/bin"
_ENVIRONMENT = f"""environment, as for cnitool:
  CNI_PATH      directories of the plugins ({PLUGIN_DIRECTORY})
  NETCONFPATH   directory of the configurations ({CONF_DIRECTORY})
  CNI_IFNAME    name of the link in the container (eth0)
  CNI_ARGS      KEY=VALUE;... for the plugins
  CAP_ARGS      JSON object of capability values, such as portMappings
"""
_NETNS = "a name as in `ip netns`, a process ID, or a path"


def parser() -> argparse.ArgumentParser:
    """Return the parser of all verbs; what makes no sense ends with status 2."""
    whole = argparse.ArgumentParser(
        prog="cnipy",
        description="Attach containers to CNI networks, look after them, detach them.",
        epilog=_ENVIRONMENT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    whole.add_argument(
        "--cache-dir", default=CACHE, help=f"where results are kept ({CACHE})"
    )
    verbs = whole.add_subparsers(dest="verb", required=True, metavar="VERB")
    for verb, sentence in (
        ("add", "attach the container of NETNS to NETWORK and print the result"),
        ("del", "detach it; repeating it is harmless"),
        ("check", "tell whether the attachment is still as add made it"),
    ):
        command = verbs.add_parser(verb, help=sentence, description=sentence)
        command.add_argument("network", metavar="NETWORK")
        command.add_argument("netns", metavar="NETNS", help=_NETNS)
    sentence = "print the CNI versions that each plugin of NETWORK supports"
    command = verbs.add_parser("version", help=sentence, description=sentence)
    command.add_argument("network", metavar="NETWORK")
    command.add_argument("netns", metavar="NETNS", nargs="?", help="not looked at")
    _add_status(verbs)
    _add_gc(verbs)
    _add_explain(verbs)
    _add_show(verbs)
    _add_repair(verbs)
    demo = verbs.add_parser("demo", help="two containers talk in a throw-away network")
    demo.add_argument("--conf", help="another conflist of bridge and portmap")
    warm = verbs.add_parser("serve", help="be the warm server (docs/warm.md)")
    warm.add_argument("--socket", default="", help="where to listen, for a trial")
    warm.add_argument(
        "--idle",
        type=float,
        metavar="SECONDS",
        help="end when nobody has called for so long; 0 for never, which is what it "
        "does unless systemd passes the socket",
    )
    sentence = "be the keeper of leases for dhcp (docs/plugins/dhcp.md)"
    keeper = verbs.add_parser("dhcp", help=sentence, description=sentence)
    keeper.add_argument("--socket", default="", help="where to listen")
    keeper.add_argument(
        "--host-prefix",
        default="",
        metavar="DIR",
        help="where the host's file system is mounted, for a keeper in a container",
    )
    _add_uninstall(verbs)
    return whole


def _add_status(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    sentence = (
        "tell whether the plugins of NETWORK are ready to add; without NETWORK, what "
        "the node has: plugins, warm server, networks"
    )
    command = verbs.add_parser("status", help=sentence, description=sentence)
    command.add_argument("network", metavar="NETWORK", nargs="?")
    command.add_argument("netns", metavar="NETNS", nargs="?", help="not looked at")


def _add_gc(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    sentence = (
        "remove what belongs to no valid attachment of NETWORK; without NETWORK, what "
        "any network has of containers whose network namespace is gone"
    )
    command = verbs.add_parser("gc", help=sentence, description=sentence)
    command.add_argument("network", metavar="NETWORK", nargs="?")
    command.add_argument("netns", metavar="NETNS", nargs="?", help="not looked at")
    command.add_argument(
        "--dry-run", action="store_true", help="print what would go, and change nothing"
    )
    command.add_argument(
        "--keep",
        action="append",
        metavar="ID/IFNAME",
        help="a valid attachment; repeatable. Without it, and without a file, those "
        "cached attachments are valid whose network namespace exists",
    )
    command.add_argument(
        "--attachments-file",
        metavar="FILE",
        help='valid attachments as JSON: [{"containerID": ..., "ifname": ...}]',
    )


def _add_explain(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    sentence = (
        "print what add would do for a container of NETWORK, a sentence a part, with "
        "nothing done; names of links depend on the container: NETNS says which"
    )
    command = verbs.add_parser("explain", help=sentence, description=sentence)
    command.add_argument("network", metavar="NETWORK")
    command.add_argument("netns", metavar="NETNS", nargs="?", help=_NETNS)
    command.add_argument("--json", action="store_true", help="print a JSON document")


def _add_show(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    sentence = "print what attachments consist of, and what of that is not so by now"
    command = verbs.add_parser("show", help=sentence, description=sentence)
    _add_chosen(command)
    command.add_argument("--json", action="store_true", help="print a JSON document")


def _add_repair(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    sentence = "put back what living attachments lack, without touching containers"
    command = verbs.add_parser("repair", help=sentence, description=sentence)
    _add_chosen(command)
    how = command.add_mutually_exclusive_group()
    how.add_argument(
        "--dry-run", action="store_true", help="print what it would, change nothing"
    )
    how.add_argument(
        "--watch",
        action="store_true",
        help="stay, and do it whenever something of that is taken away",
    )


def _add_chosen(command: argparse.ArgumentParser) -> None:
    command.add_argument("network", metavar="NETWORK", nargs="?")
    command.add_argument(
        "container",
        metavar="CONTAINER",
        nargs="?",
        help="a container ID, the beginning of one, or its namespace as for add",
    )


def _add_uninstall(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    sentence = "have the plugin directory as it was before install"
    command = verbs.add_parser("uninstall", help=sentence, description=sentence)
    command.add_argument(
        "--bin-dir", metavar="DIR", help="the plugin directory (where cnipy lies)"
    )
    command.add_argument(
        "--unit-dir",
        metavar="DIR",
        default=units.DIRECTORY,
        help=f"where install put units for systemd ({units.DIRECTORY})",
    )
