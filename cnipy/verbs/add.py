# SPDX-License-Identifier: Apache-2.0
"""`cnipy add`: a container is attached as a runtime would do it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnipy.verb import Answer, Lines, Verb
from cnipy.words import add_network_and_netns, add_wishes, has_wishes, with_ifname

if TYPE_CHECKING:
    import argparse

    from cnipy.context import Context


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    add_network_and_netns(parser)
    add_wishes(parser)
    parser.add_argument(
        "--dry-run", action="store_true", help="print what it would do, as explain does"
    )


def _run(context: Context, options: argparse.Namespace) -> Answer:
    import json  # noqa: PLC0415 - the parser needs none of these

    from cnipy import attachment as attachments  # noqa: PLC0415 - the same
    from cnipy import containers  # noqa: PLC0415 - the same

    context = with_ifname(context, options)
    attachment = containers.attachment(context, options.netns)
    network = context.network(options.network)
    attachments.check_exists(options.netns, attachment)
    if has_wishes(options):
        from cnipy import asked  # noqa: PLC0415 - for who asks for more

        attachment = asked.with_options(attachment, network, options)
    if options.dry_run:
        from cnipy import explain  # noqa: PLC0415 - models are expensive

        return explain.told(context, network, attachment)
    context.warn(network, attachment.capability_args)
    result = context.runtime.add(network, attachment)
    return Lines(result, json.dumps(result, indent=4).splitlines())


VERB = Verb(
    sentence="attach the container of NETNS to NETWORK and print the result",
    run=_run,
    changes=True,
    add_arguments=_add_arguments,
)
