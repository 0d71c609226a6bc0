# SPDX-License-Identifier: Apache-2.0
"""What of many attachments differs in the kernel, looked at by several processes.

A thousand attachments are more than a second of work for one CPU. Children look at a
part of them, and tell what they found; where one cannot, its parent does.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from cni_common import parts
from cni_common.attachment import condition, record
from cni_common.attachment.node import Node
from cni_common.attachment.part import Difference
from cni_common.naming import Attachment

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cni_common.attachment.record import Record
    from cnipy.recorded import Recorded

    # By plugin; what it has on record in parts.
    Differences = dict[str, list[Difference]]

_MANY = 64  # below that a child costs more than it saves
_MOST_CHILDREN = 7
# What the caller does besides, in the time that a child needs for one attachment.
_OWN_SHARE = 0.6


def nowhere() -> Node:
    """Return a node of the host, beside which those of attachments are looked at."""
    return Node(Attachment("", "", ""), "")


def of_record(
    item: Recorded, plugin: str, found: Record, beside: Node
) -> list[Difference]:
    """Return what is not as a plugin recorded; of one that is dead nothing is expected.

    What was found whole of the host `beside` is not looked at again.
    """
    with Node(item.attachment, plugin, record=found, beside=beside) as node:
        return list(condition.differences(node, condition.lasting(found.parts)))


class Helpers:
    """Children that look at the attachments from `first` on, until they are asked."""

    def __init__(self, found: Sequence[Recorded]) -> None:
        self._found = found
        self._children: list[tuple[int, int]] = []
        number = min(len(os.sched_getaffinity(0)) - 1, _MOST_CHILDREN)
        if len(found) < _MANY or number < 1:
            self.first = len(found)
            return
        self.first = int(len(found) * _OWN_SHARE / (number + _OWN_SHARE))
        for index in range(number):
            with suppress(OSError):  # then the caller looks at those as well
                self._children.append(self._start(self._share(index, number)))

    def _share(self, index: int, number: int) -> list[int]:
        return list(range(self.first + index, len(self._found), number))

    def differences(self) -> dict[int, Differences]:
        """Return what the children found, by the number of an attachment.

        What a child did not come to tell is missing.
        """
        told: dict[int, Differences] = {}
        for pid, reader in self._children:
            with open(reader, "rb") as pipe:
                text = pipe.read()
            _, status = os.waitpid(pid, 0)
            if status == 0:
                for number, by_plugin in json.loads(text):
                    told[number] = {
                        plugin: [Difference(*each) for each in listed]
                        for plugin, listed in by_plugin.items()
                    }
        self._children.clear()
        return told

    def _start(self, share: list[int]) -> tuple[int, int]:
        reader, writer = os.pipe()
        pid = os.fork()
        if pid:
            os.close(writer)
            return pid, reader
        status = 1
        try:
            with open(writer, "w", encoding="utf-8") as pipe:
                json.dump(list(self._looked_at(share)), pipe)
            status = 0
        finally:
            os._exit(status)

    def _looked_at(self, share: list[int]) -> Iterator[tuple[int, dict[str, Any]]]:
        with nowhere() as beside:
            for number in share:
                item = self._found[number]
                told = {}
                for plugin in parts.OF.keys() & set(item.plugins) if item.lives else ():
                    found = record.read_parts(plugin, item.attachment)
                    if found is not None:
                        lacking = of_record(item, plugin, found, beside)
                        told[plugin] = [(each.text, each.details) for each in lacking]
                yield number, told
