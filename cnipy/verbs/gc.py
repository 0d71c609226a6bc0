# SPDX-License-Identifier: Apache-2.0
"""`cnipy gc`: what belongs to no valid attachment goes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cni_common.spec.errors import CNIError, Code
from cnipy.verb import Answer, Lines, Verb
from cnipy.words import add_network_unread_netns

if TYPE_CHECKING:
    import argparse

    from cnipy.context import Context


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    add_network_unread_netns(parser)
    parser.add_argument(
        "--dry-run", action="store_true", help="print what would go, and change nothing"
    )
    parser.add_argument(
        "--keep",
        action="append",
        metavar="ID/IFNAME",
        help="a valid attachment; repeatable. Without it, and without a file, those "
        "cached attachments are valid whose network namespace exists",
    )
    parser.add_argument(
        "--attachments-file",
        metavar="FILE",
        help='valid attachments as JSON: [{"containerID": ..., "ifname": ...}]',
    )


def _run(context: Context, options: argparse.Namespace) -> Answer:
    fate = "would delete" if options.dry_run else "deleted"
    collected = _of_network if options.network else _of_node
    gone = collected(context, options)
    document = {"dryRun": options.dry_run, "deleted": gone}
    return Lines(document, [f"{fate} {each}" for each in gone])


def _of_node(context: Context, options: argparse.Namespace) -> list[str]:
    from cnipy import dead  # noqa: PLC0415 - only without a network

    if options.keep is not None or options.attachments_file:
        msg = "gc: --keep and --attachments-file are about one network: name it"
        raise CNIError(Code.INVALID_ENVIRONMENT, msg)
    return dead.collect(
        context.runtime,
        context.conf_directory,
        context.suite.recording,
        context.tell,
        dry_run=options.dry_run,
    )


def _of_network(context: Context, options: argparse.Namespace) -> list[str]:
    from cnipy import valid  # noqa: PLC0415 - only with a network

    network, runtime = context.network(options.network), context.runtime
    entries = runtime.cache.entries(network.name)
    if options.attachments_file:
        kept = valid.listed_in_file(options.attachments_file)
    elif options.keep is not None:
        kept = valid.named(options.keep)
    else:
        kept = valid.living(entries)
    if not options.dry_run:
        return runtime.gc(network, kept)
    stale = [] if network.disable_gc else [e for e in entries if e.key not in kept]
    return ["/".join(entry.key) for entry in stale]


VERB = Verb(
    sentence="remove what belongs to no valid attachment of NETWORK; without NETWORK, "
    "what any network has of containers whose network namespace is gone",
    run=_run,
    changes=True,
    add_arguments=_add_arguments,
)
