# SPDX-License-Identifier: Apache-2.0
"""`cnipy VERB NETWORK [NETNS]`: read the command line, run the verb, tell the outcome.

Exit status: 0 success, 1 failure (one line on stderr), 2 wrong usage.
"""

from __future__ import annotations

import argparse
import json
import os
from typing import TYPE_CHECKING, BinaryIO, TextIO

from cni_common.spec.errors import CNIError, Code
from cnipy import attachment as attachments
from cnipy import network as networks
from cnipy.cache import DEFAULT as CACHE
from cnipy.cache import Cache
from cnipy.invoke import Invoker
from cnipy.runtime import Runtime
from cnipy.valid import listed_in_file, living, named

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from cnipy.attachment import Attachment
    from cnipy.network import Network

CONF_DIRECTORY = "/etc/cni/net.d"
PLUGIN_DIRECTORY = "/opt/cni/bin"
ENVIRONMENT = f"""environment, as for cnitool:
  CNI_PATH      directories of the plugins ({PLUGIN_DIRECTORY})
  NETCONFPATH   directory of the configurations ({CONF_DIRECTORY})
  CNI_IFNAME    name of the link in the container (eth0)
  CNI_ARGS      KEY=VALUE;... for the plugins
  CAP_ARGS      JSON object of capability values, such as portMappings
"""


def main(
    argv: Sequence[str],
    env: Mapping[str, str],
    stdout: BinaryIO,
    stderr: TextIO,
    serve: Callable[[str, str], object],
) -> int:
    """Run one verb; return the exit status. argv[0] is the path of the command.

    `serve` is the warm server, called with that path and where to listen.
    """
    options = _parser().parse_args(argv[1:])
    try:
        if options.verb == "demo":
            from cnipy.demo import run  # noqa: PLC0415 - for this verb only

            # The command may be a link in a directory of PATH.
            beside = os.path.dirname(os.path.realpath(argv[0]))
            return run(beside, options.conf, env)
        if options.verb == "serve":
            serve(argv[0], options.socket)
        text = _answer(options, env)
    except CNIError as error:
        line = " ".join(f"{error} (code {error.code})".split())
        stderr.write(f"cnipy: {line}\n")
        return 1
    except OSError as error:
        stderr.write(f"cnipy: {error}\n")
        return 1
    stdout.write(text.encode())
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="cnipy",
        description="Attach containers to CNI networks, look after them, detach them.",
        epilog=ENVIRONMENT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--cache-dir", default=CACHE, help=f"where results are kept ({CACHE})"
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for verb, sentence in (
        ("add", "attach the container of NETNS to NETWORK and print the result"),
        ("del", "detach it; repeating it is harmless"),
        ("check", "tell whether the attachment is still as add made it"),
        ("gc", "remove what belongs to no valid attachment of NETWORK"),
        ("status", "tell whether the plugins of NETWORK are ready to add"),
        ("version", "print the CNI versions that each plugin of NETWORK supports"),
    ):
        command = verbs.add_parser(verb, help=sentence, description=sentence)
        command.add_argument("network", metavar="NETWORK")
        optional = "?" if verb in {"gc", "status", "version"} else None
        command.add_argument("netns", metavar="NETNS", nargs=optional)
        if verb == "gc":
            _add_valid_options(command)
    demo = verbs.add_parser("demo", help="two containers talk in a throw-away network")
    demo.add_argument("--conf", help="another conflist of bridge and portmap")
    warm = verbs.add_parser("serve", help="be the warm server (docs/warm.md)")
    warm.add_argument("--socket", default="", help="where to listen, for a trial")
    return parser


def _add_valid_options(command: argparse.ArgumentParser) -> None:
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


def _answer(options: argparse.Namespace, env: Mapping[str, str]) -> str:
    cache = Cache(options.cache_dir)
    path = env.get("CNI_PATH") or PLUGIN_DIRECTORY
    runtime = Runtime(Invoker(tuple(filter(None, path.split(":"))), env), cache)
    if options.verb in {"gc", "status", "version"}:
        network = networks.load(_conf_directory(env), options.network)
        return _network_verb(runtime, network, options)
    attachment = attachments.from_environment(options.netns, env)
    network = _network(options, env, cache, attachment)
    if options.verb == "add":
        return json.dumps(runtime.add(network, attachment), indent=4) + "\n"
    if options.verb == "check":
        runtime.check(network, attachment)
    else:
        runtime.delete(network, attachment)
    return ""


def _network_verb(
    runtime: Runtime, network: Network, options: argparse.Namespace
) -> str:
    if options.verb == "status":
        runtime.status(network)
        return ""
    if options.verb == "version":
        return _versions(runtime, network)
    if options.attachments_file:
        valid = listed_in_file(options.attachments_file)
    elif options.keep is not None:
        valid = named(options.keep)
    else:
        valid = living(runtime.cache.entries(network.name))
    return "".join(f"deleted {key}\n" for key in runtime.gc(network, valid))


def _versions(runtime: Runtime, network: Network) -> str:
    lines = []
    for kind, versions in runtime.versions(network).items():
        lines.append(f"{kind}: {' '.join(versions)}\n")
        if network.version and network.version not in versions:
            msg = f"{kind}: does not support version {network.version}"
            raise CNIError(Code.INCOMPATIBLE_VERSION, msg, " ".join(versions))
    return "".join(lines)


def _network(
    options: argparse.Namespace,
    env: Mapping[str, str],
    cache: Cache,
    attachment: Attachment,
) -> Network:
    """Return the network from disk, or for DEL and CHECK as it was when added."""
    try:
        return networks.load(_conf_directory(env), options.network)
    except networks.NotFoundError:
        entry = cache.read(options.network, attachment)
        if options.verb == "add" or entry is None:
            raise
        source = os.path.join(_conf_directory(env), "cached list")
        return networks.parse(entry.config, source)


def _conf_directory(env: Mapping[str, str]) -> str:
    return env.get("NETCONFPATH") or CONF_DIRECTORY
