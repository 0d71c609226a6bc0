# SPDX-License-Identifier: Apache-2.0
"""Which attachments on record a command line means, and those kept whole."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from cni_common.frame.log import remarks
from cni_common.frame.rollback import Gather
from cni_common.spec.errors import CNIError, Code
from cnipy import network as networks
from cnipy import recorded, repair
from cnipy import watch as watching
from cnipy.containers import Containers

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from cnipy.context import Context
    from cnipy.recorded import Recorded
    from cnipy.watch import Scope


def watch(context: Context, options: argparse.Namespace) -> None:
    """Put back what living attachments lack, now and whenever something may be gone.

    Ends when it is asked to. What cannot be put back is printed once. Raises CNIError
    at the beginning only.
    """
    chosen(context, options, Gather())
    said: set[str] = set()

    def again(scope: Scope) -> None:
        errors, found, failed = Gather(), [], set()
        with suppress(CNIError):  # the container that was named may be gone by now
            found = chosen(context, options, errors)
        named = [item for item in found if scope.names(item.attachment)]
        for meant, only_rules in ((found, True), (named, False)):
            if only_rules and not scope.rules:
                continue
            for line in repair.repaired(
                context.suite, meant, errors, only_rules=only_rules
            ):
                failed |= {line.text} if line.failed else set()
                if line.text not in said:
                    context.say(line.text)
        doubts = {*map(str, errors.raised), *remarks()}
        for text in sorted(doubts - said):
            context.tell(text)
        if scope.everything:
            said.clear()
        said.update(failed, doubts)

    watching.watch(again)


def chosen(
    context: Context, options: argparse.Namespace, errors: Gather
) -> list[Recorded]:
    """Return the attachments that the command line means.

    One name alone is a network's, or where there is none, a container's on any.
    """
    names = {name for name, _ in networks.listed(context.conf_directory)}
    found = recorded.recorded(context.suite, errors)
    network, word = options.network, options.container
    if network is None:
        return list(found.values())
    containers = Containers(context, found.values())
    known = names | {owner.network for owner in found}
    if word is None and network not in known and (meant := containers.find(network)):
        return [each for each in found.values() if each.is_of(meant)]
    items = recorded.of_network(found, network, names)
    return items if word is None else _of(containers, word, network, items)


def of_network(context: Context, network: str, errors: Gather) -> list[Recorded]:
    """Return the attachments to a network; raises Code.INVALID_CONFIG as `chosen`."""
    names = {name for name, _ in networks.listed(context.conf_directory)}
    return recorded.of_network(recorded.recorded(context.suite, errors), network, names)


def of_container(
    context: Context, word: str, network: str | None, errors: Gather
) -> list[Recorded]:
    """Return the attachments of a container, to `network` alone if one is named.

    Raises Code.UNKNOWN_CONTAINER or Code.INVALID_CONFIG for a name that nothing has.
    """
    found = recorded.recorded(context.suite, errors)
    containers = Containers(context, found.values())
    if network is None:
        return _of(containers, word, "", list(found.values()))
    names = {name for name, _ in networks.listed(context.conf_directory)}
    items = recorded.of_network(found, network, names)
    return _of(containers, word, network, items)


def _of(
    containers: Containers, word: str, network: str, items: list[Recorded]
) -> list[Recorded]:
    meant = containers.find(word, network)
    chosen = [each for each in items if meant and each.is_of(meant)]
    if not chosen:
        where = f" on {network}" if network else ""
        msg = f"find container {word}{where}: it has no attachment"
        there = sorted({each.attachment.container_id for each in items})
        hint = f"there are: {' '.join(there) or 'none'}"
        raise CNIError(Code.UNKNOWN_CONTAINER, msg, hint)
    return chosen


def tell_doubts(errors: Gather, tell: Callable[[str], None]) -> None:
    """Tell what could not be read."""
    for text in dict.fromkeys(map(str, errors.raised)):
        tell(text)
