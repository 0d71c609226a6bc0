# SPDX-License-Identifier: Apache-2.0
"""`cnipy addresses`: used and free addresses of a network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnipy.command_line import NETWORK
from cnipy.verb import Answer, Verb

if TYPE_CHECKING:
    import argparse

    from cnipy.context import Context


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("network", metavar="NETWORK", help=NETWORK)


def _run(context: Context, options: argparse.Namespace) -> Answer:
    from cni_common.frame.rollback import Gather  # noqa: PLC0415 - for the work alone
    from cnipy import addresses, on_record, tree  # noqa: PLC0415 - the same
    from cnipy.containers import Containers  # noqa: PLC0415 - the same
    from cnipy.network import NotFoundError  # noqa: PLC0415 - the same

    errors, name = Gather(), options.network
    chosen = on_record.of_network(context, name, errors)
    called = Containers(context, chosen).names()
    found = tree.attached(chosen, called, compared=False)
    try:
        network = context.network(name)
    except NotFoundError:
        network = None
    used = addresses.used(name, addresses.directories(network), found, called)
    pools = addresses.pools(context.suite, network, used) if network else []
    on_record.tell_doubts(errors, context.tell)
    return addresses.Addresses(pools, used)


VERB = Verb(
    sentence="print which addresses of NETWORK are used, by whom and since when, and "
    "how many are free",
    run=_run,
    changes=False,
    add_arguments=_add_arguments,
)
