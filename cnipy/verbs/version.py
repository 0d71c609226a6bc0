# SPDX-License-Identifier: Apache-2.0
"""`cnipy version`: what the plugins of a list speak."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cni_common.spec.errors import CNIError, Code
from cnipy.command_line import NETWORK
from cnipy.verb import Answer, Lines, Verb, anybody

if TYPE_CHECKING:
    import argparse

    from cnipy.context import Context


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("network", metavar="NETWORK", help=NETWORK)
    parser.add_argument("netns", metavar="NETNS", nargs="?", help="not looked at")


def _run(context: Context, options: argparse.Namespace) -> Answer:
    network = context.network(options.network)
    found = context.runtime.versions(network)
    for kind, versions in found.items():
        if network.version and network.version not in versions:
            msg = f"{kind}: does not support version {network.version}"
            raise CNIError(Code.INCOMPATIBLE_VERSION, msg, " ".join(versions))
    return Lines(found, [f"{kind}: {' '.join(found[kind])}" for kind in found])


VERB = Verb(
    sentence="print the CNI versions that each plugin of NETWORK supports",
    run=_run,
    changes=False,
    add_arguments=_add_arguments,
    is_for_anybody=anybody,
)
