# SPDX-License-Identifier: Apache-2.0
"""Arguments that several verbs have, and what they answer of an attachment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cnipy.command_line import CONTAINER

if TYPE_CHECKING:
    import argparse

    from cnipy.attachment import Attachment


def add_network_and_netns(parser: argparse.ArgumentParser) -> None:
    """Have NETWORK and NETNS on the command line."""
    parser.add_argument("network", metavar="NETWORK")
    parser.add_argument("netns", metavar="NETNS", help=CONTAINER)


def add_network_unread_netns(parser: argparse.ArgumentParser) -> None:
    """Have NETWORK, which may be left out, and NETNS without effect, as cnitool has."""
    parser.add_argument("network", metavar="NETWORK", nargs="?")
    parser.add_argument("netns", metavar="NETNS", nargs="?", help="not looked at")


def add_chosen(parser: argparse.ArgumentParser) -> None:
    """Have NETWORK and CONTAINER, by which attachments on record are chosen."""
    parser.add_argument("network", metavar="NETWORK", nargs="?")
    parser.add_argument("container", metavar="CONTAINER", nargs="?", help=CONTAINER)


def add_living(parser: argparse.ArgumentParser) -> None:
    """Have CONTAINER, and which of its attachments is meant where it has several."""
    parser.add_argument("container", metavar="CONTAINER", help=CONTAINER)
    parser.add_argument("--network", metavar="NETWORK", help="of several this one")
    parser.add_argument("--ifname", metavar="IFNAME", help="of several the one there")


def document(network: str, attachment: Attachment) -> dict[str, Any]:
    """Return the JSON values that tell of which attachment an answer is."""
    return {
        "network": network,
        "containerID": attachment.container_id,
        "ifname": attachment.ifname,
        "netns": attachment.netns,
    }
