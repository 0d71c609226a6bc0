# SPDX-License-Identifier: Apache-2.0
"""`cnipy repair --watch`: repairs whenever the kernel tells that something may be gone.

It waits for what the kernel says, and looks at what that may be about: the rules of
all, one attachment, or everything. What is there is left alone, so that neither the
work of plugins nor its own keeps it going.
"""

from __future__ import annotations

import gc
import select
import signal
import socket
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from cni_common import naming
from cni_common.kernel import links
from cni_common.kernel.netlink import Netlink
from cni_common.kernel.notices import Losses, Notices
from cni_common.spec.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cni_common.naming import Attachment

_OURS = "cnipy_"
_FIREWALLD = "firewalld"
_TOGETHER = 0.1  # seconds, in which further notices are waited for
_LONGEST = 0.8
# firewalld tells of its table before it answers, or forgets once more.
_LATER = 3.0


@dataclass(frozen=True)
class Scope:
    """What is to be looked at: everything, the rules of all, or some attachments.

    Those are told by the aliases of their links on the host.
    """

    everything: bool = False
    rules: bool = False
    aliases: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return self.everything or self.rules or bool(self.aliases)

    def names(self, attachment: Attachment) -> bool:
        """Tell whether the attachment itself is to be looked at."""
        return self.everything or naming.alias(attachment) in self.aliases


def watch(repair: Callable[[Scope], None]) -> None:
    """Call `repair` for everything now, and then whenever it may have work.

    Returns after SIGTERM or SIGINT, when `repair` has finished. Raises Code.INTERNAL.
    """
    gc.enable()  # a call does without, but this one stays
    with Notices(_OURS) as notices, _ending() as ended:
        scope, later = Scope(everything=True), 0.0
        while not _is_told(ended, 0.0):
            if scope:
                started = time.monotonic()
                repair(scope)
                cost = time.monotonic() - started
            else:
                cost = 0.0
            limit = max(0.0, later - time.monotonic()) if later else None
            heard = [*notices.filenos(), ended.fileno()]
            told = select.select(heard, [], [], limit)[0]
            if told and not _is_told(ended, min(_LONGEST, max(_TOGETHER, 2 * cost))):
                losses = notices.read()
                if _FIREWALLD in losses.tables:
                    later = time.monotonic() + _LATER
                scope = _scope(losses)
            else:
                scope, later = Scope(rules=bool(later)), 0.0


def _scope(losses: Losses) -> Scope:
    """Return what may lack something."""
    aliases, everything = set(losses.aliases), losses.all
    if losses.indices and not everything:
        with Netlink() as host:
            for index in losses.indices:
                link = links.by_index(host, index) if index else None
                if link is not None:
                    everything |= link.kind == "bridge"
                    aliases.add(link.alias)
    everything |= naming.BRIDGE_ALIAS in aliases
    ours = frozenset(filter(naming.is_ours, aliases))
    return Scope(everything, bool(losses.tables), ours)


def _is_told(reader: socket.socket, seconds: float) -> bool:
    return bool(select.select([reader], [], [], seconds)[0])


@contextmanager
def _ending() -> Iterator[socket.socket]:
    """Yield a socket that can be read once the process is asked to end."""
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    before = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    asked = (signal.SIGTERM, signal.SIGINT)
    handlers = [signal.signal(number, lambda *_: None) for number in asked]
    try:
        yield reader
    finally:
        for number, handler in zip(asked, handlers, strict=True):
            signal.signal(number, handler)
        signal.set_wakeup_fd(before)
        reader.close()
        writer.close()
