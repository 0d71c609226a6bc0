# SPDX-License-Identifier: Apache-2.0
"""`cnipy why`: does a packet get through, and if not, where does it end?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnipy.verb import Answer, Verb

if TYPE_CHECKING:
    import argparse

    from cnipy.context import Context


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "source",
        metavar="SOURCE",
        help="a container, `host`, an address, or `outside`: whoever is beyond the "
        "default route",
    )
    parser.add_argument(
        "target",
        metavar="TARGET[:PORT][/PROTOCOL]",
        help="a container, `host`, or an address; with a port TCP, else an echo: web, "
        "web:80, 10.22.0.2:53/udp, [fd00::2]:80",
    )
    version = parser.add_mutually_exclusive_group()
    for number in (4, 6):
        version.add_argument(
            f"-{number}",
            dest="version",
            action="store_const",
            const=number,
            default=0,
            help=f"the target's address of IPv{number}",
        )
    parser.add_argument(
        "--size",
        type=int,
        default=0,
        metavar="BYTES",
        help="of the packet, which is not to be fragmented (udp and icmp)",
    )


def _run(context: Context, options: argparse.Namespace) -> Answer:
    from contextlib import ExitStack  # noqa: PLC0415 - for the work alone

    from cni_common.frame.log import remarks  # noqa: PLC0415 - the same
    from cni_common.frame.rollback import Gather  # noqa: PLC0415 - the same
    from cnipy import on_record, recorded  # noqa: PLC0415 - the same
    from cnipy.why import between, ends, inquiry, verdict  # noqa: PLC0415 - netlink is expensive

    words = ends.read_target(options.target)
    with ExitStack() as opened:
        found = ends.Ends(context, opened)
        source = found.source(options.source)
        goal = found.goal(words, source, options.version, options.size)
        version = goal.address.version
        sender = source or found.outside(options.source, version)
        seen, cause = inquiry.inquire(sender, found.host, goal, found.holder)
        # A further question has the eyes forget what they saw of this one.
        way = verdict.way(seen)
        cause, asked = between.explained(seen, cause)
        answer = verdict.Verdict(options.source, seen, cause, way, asked)
    # Of what could not be read an end or a rule may be.
    errors = Gather()
    recorded.recorded(context.suite, errors)
    on_record.tell_doubts(errors, context.tell)
    for text in remarks():
        context.tell(text)
    return answer


VERB = Verb(
    sentence="send one packet from SOURCE to TARGET, and tell whether it gets through; "
    "if not where it ends, why, and what would change that",
    run=_run,
    changes=False,
    add_arguments=_add_arguments,
)
