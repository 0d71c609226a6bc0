# SPDX-License-Identifier: Apache-2.0
"""`cnipy VERB NETWORK [NETNS]`: read the command line, run the verb, tell the outcome.

Exit status: 0 success, 1 failure (one line on stderr), 2 wrong usage.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, BinaryIO, TextIO

from cni_common.spec.errors import CNIError, Code
from cnipy import attachment as attachments
from cnipy import network as networks
from cnipy.cache import Cache
from cnipy.command_line import CONF_DIRECTORY, PLUGIN_DIRECTORY, parser
from cnipy.doubts import doubts
from cnipy.invoke import Invoker
from cnipy.runtime import Runtime
from cnipy.valid import listed_in_file, living, named

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping, Sequence

    from cnipy.attachment import Attachment
    from cnipy.network import Network
    from cnipy.suite import Suite

_FOR_ANYBODY = frozenset({"version", "serve"})

_ANYBODY = "/run/netns/container"  # in place of a namespace that is not named


def main(
    argv: Sequence[str],
    env: Mapping[str, str],
    stdout: BinaryIO,
    stderr: TextIO,
    suite: Suite,
) -> int:
    """Run one verb; return the exit status. argv[0] is the path of the command."""

    def tell(line: str) -> None:
        stderr.write(f"cnipy: {line}\n")

    options = parser().parse_args(argv[1:])
    if suite.uid != 0 and not _is_for_anybody(options):
        tell(f"{options.verb}: run as root, not as uid {suite.uid}")
        return 1
    # The command may be a link in a directory of PATH.
    beside = os.path.dirname(os.path.realpath(argv[0]))
    try:
        if options.verb == "demo":
            from cnipy.demo import run  # noqa: PLC0415 - for this verb only

            return run(beside, options.conf, env)
        if options.verb in {"serve", "dhcp"}:
            text = _server(options, argv[0], suite, tell)
        elif options.verb == "show":
            from cnipy import on_record  # noqa: PLC0415 - netlink is expensive

            text = on_record.show(options, conf_directory(env), suite, tell)
        elif options.verb == "repair":
            from cnipy import on_record  # noqa: PLC0415 - netlink is expensive

            work = on_record.watch if options.watch else on_record.repair
            return work(options, conf_directory(env), suite, stdout, tell)
        elif options.verb == "uninstall":
            from cnipy.uninstall import uninstall  # noqa: PLC0415 - for this verb only

            directory = os.path.realpath(options.bin_dir or beside)
            uninstall(directory, options.unit_dir, suite.names, tell)
            text = ""
        else:
            text = _answer(options, env, suite, tell)
    except CNIError as error:
        tell(" ".join(f"{error} (code {error.code})".split()))
        return 1
    except OSError as error:
        tell(str(error))
        return 1
    stdout.write(text.encode())
    return 0


def _server(
    options: argparse.Namespace, itself: str, suite: Suite, tell: Callable[[str], None]
) -> str:
    """Be a server, until it ends; returns nothing to print."""
    if options.verb == "dhcp":
        suite.keep_leases(options.socket, options.host_prefix, tell)
    else:
        reason = suite.serve(itself, options.socket, options.idle)
        tell(f"serve: ended, {reason}")
    return ""


def _is_for_anybody(options: argparse.Namespace) -> bool:
    looks = options.verb == "status" and not options.network
    return looks or options.verb in _FOR_ANYBODY


def _answer(
    options: argparse.Namespace,
    env: Mapping[str, str],
    suite: Suite,
    tell: Callable[[str], None],
) -> str:
    cache = Cache(options.cache_dir)
    path = env.get("CNI_PATH") or PLUGIN_DIRECTORY
    runtime = Runtime(Invoker(tuple(filter(None, path.split(":"))), env), cache)
    directory = conf_directory(env)
    if options.verb == "explain":
        return _explanation(runtime, directory, options, suite)
    if not options.network:
        return _node_verb(runtime, directory, options, suite, tell)
    if options.verb in {"gc", "status", "version"}:
        network = networks.load(directory, options.network)
        if options.verb == "status":
            _warn(suite, network, directory, {}, tell)
        return _network_verb(runtime, network, options)
    attachment = attachments.from_environment(options.netns, env)
    network = _network(options, directory, cache, attachment)
    if options.verb == "add":
        attachments.check_exists(options.netns, attachment)
        _warn(suite, network, directory, attachment.capability_args, tell)
        return json.dumps(runtime.add(network, attachment), indent=4) + "\n"
    if options.verb == "check":
        runtime.check(network, attachment)
    else:
        runtime.delete(network, attachment)
    return ""


def conf_directory(env: Mapping[str, str]) -> str:
    """Return the directory of the configurations."""
    return env.get("NETCONFPATH") or CONF_DIRECTORY


def _explanation(
    runtime: Runtime, directory: str, options: argparse.Namespace, suite: Suite
) -> str:
    from cnipy import explain  # noqa: PLC0415 - for this verb only

    env = runtime.invoker.env
    network = networks.load(directory, options.network)
    attachment = attachments.from_environment(options.netns or _ANYBODY, env)
    if options.netns:
        attachments.check_exists(options.netns, attachment)
    called = {**env, "CNI_PATH": ":".join(runtime.invoker.path)}
    found = explain.steps(suite, network, attachment, called)
    if options.json:
        listed = [step.document() for step in found]
        return json.dumps(listed, indent=4) + "\n"
    return explain.text(found)


def _warn(
    suite: Suite,
    network: Network,
    directory: str,
    given: Mapping[str, object],
    tell: Callable[[str], None],
) -> None:
    for doubt in doubts(suite, network, networks.listed(directory), given):
        tell(f"warning: {doubt}")


def _node_verb(
    runtime: Runtime,
    directory: str,
    options: argparse.Namespace,
    suite: Suite,
    tell: Callable[[str], None],
) -> str:
    if options.verb == "status":
        from cnipy.node import status  # noqa: PLC0415 - for this verb only

        return status(runtime.invoker.path, directory, suite)
    from cnipy.dead import collect  # noqa: PLC0415 - for this verb only

    if options.keep is not None or options.attachments_file:
        msg = "gc: --keep and --attachments-file are about one network: name it"
        raise CNIError(Code.INVALID_ENVIRONMENT, msg)
    lines = collect(runtime, directory, suite.names, tell, dry_run=options.dry_run)
    return "".join(f"{line}\n" for line in lines)


def _network_verb(
    runtime: Runtime, network: Network, options: argparse.Namespace
) -> str:
    if options.verb == "status":
        return "".join(f"{line}\n" for line in runtime.status(network))
    if options.verb == "version":
        return _versions(runtime, network)
    entries = runtime.cache.entries(network.name)
    if options.attachments_file:
        valid = listed_in_file(options.attachments_file)
    elif options.keep is not None:
        valid = named(options.keep)
    else:
        valid = living(entries)
    if options.dry_run:
        stale = [] if network.disable_gc else [e for e in entries if e.key not in valid]
        return "".join(f"would delete {'/'.join(entry.key)}\n" for entry in stale)
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
    options: argparse.Namespace, directory: str, cache: Cache, attachment: Attachment
) -> Network:
    """Return the network from disk, or for DEL and CHECK as it was when added."""
    try:
        return networks.load(directory, options.network)
    except networks.NotFoundError:
        entry = cache.read(options.network, attachment)
        if options.verb == "add" or entry is None:
            raise
        return networks.parse(entry.config, os.path.join(directory, "cached list"))
