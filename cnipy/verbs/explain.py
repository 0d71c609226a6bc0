# SPDX-License-Identifier: Apache-2.0
"""`cnipy explain`: what add would do."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from cnipy.command_line import CONTAINER, NETWORK
from cnipy.verb import Answer, Verb

if TYPE_CHECKING:
    import argparse

    from cnipy.context import Context
    from cnipy.network import Network


_STDIN = "-"
_SOMEBODY = "/run/netns/container"  # in place of a namespace that is not named


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    what = f"{NETWORK}, the path of a list that is not there yet, or - for stdin"
    parser.add_argument("network", metavar="NETWORK", help=what)
    parser.add_argument("netns", metavar="NETNS", nargs="?", help=CONTAINER)


def _run(context: Context, options: argparse.Namespace) -> Answer:
    from cnipy import attachment as attachments  # noqa: PLC0415 - the parser needs none
    from cnipy import containers, explain  # noqa: PLC0415 - models are expensive

    network = _network(context, options.network)
    if options.netns:
        attachment = containers.attachment(context, options.netns)
        attachments.check_exists(options.netns, attachment)
    else:
        attachment = attachments.from_environment(_SOMEBODY, context.env)
    return explain.told(context, network, attachment)


def _network(context: Context, word: str) -> Network:
    """Return the network of a name, of a file (no name has a slash), or of stdin."""
    from cnipy import network as networks  # noqa: PLC0415 - the parser needs none

    if word == _STDIN:
        return networks.parse(sys.stdin.buffer.read(), "/dev/stdin")
    if "/" not in word:
        return context.network(word)
    is_list = word.endswith(networks.LISTS)
    return networks.read(word) if is_list else networks.read_single(word)


VERB = Verb(
    sentence="print what add would do for a container of NETWORK, a sentence a part, "
    "with nothing done; names of links depend on the container: NETNS says which",
    run=_run,
    changes=False,
    add_arguments=_add_arguments,
)
