# SPDX-License-Identifier: Apache-2.0
"""What a call about one attachment has in its hands: namespaces, sockets, undoing.

Sockets are opened when they are first used, and all is closed at the end of the block.
What they need is not imported before, for many a call has nothing to do.
"""

from __future__ import annotations

from contextlib import ExitStack

from cni_common.frame.rollback import Rollback
from cni_common.kernel import netns_identity

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from typing import Any, Self, TypeVar

    from cni_common.attachment.part import Part
    from cni_common.attachment.record import Record
    from cni_common.attachment.survey import Survey
    from cni_common.kernel.link_answer import Link
    from cni_common.kernel.netlink import Netlink
    from cni_common.kernel.netns import Namespace
    from cni_common.kernel.nft_sets import Sets
    from cni_common.naming import Attachment
    from cni_common.spec.fields import IPInterface
    from cni_common.spec.request import Request
    from cni_common.spec.result import Interface

    T = TypeVar("T")


class Node:
    """The host and the container of `attachment`, for the call of `plugin`.

    Paths of the container are believed only while they lead to the namespace of
    `record`, if any. `undo` undoes an ADD that fails; elsewhere nothing does. What is
    known of the host, and common parts that are whole, are those of a node `beside`;
    or what a `survey` found, after which nothing may change.
    """

    def __init__(  # noqa: PLR0913 - what there is to go by, by keyword
        self,
        attachment: Attachment,
        plugin: str,
        *,
        record: Record | None = None,
        request: Request | None = None,
        beside: Node | None = None,
        survey: Survey | None = None,
    ) -> None:
        self.attachment = attachment
        self.plugin = plugin
        self.record = record
        self.identity = record.netns_identity if record else ""
        self.request = request
        self.undo = Rollback()
        # What the container's interface held when it was removed.
        self.held: list[IPInterface] = []
        self._opened = ExitStack()
        self._beside = beside
        self.whole: set[Part] = beside.whole if beside else set()
        self.survey: Survey | None = beside.survey if beside else survey
        links = self.survey.by_name if self.survey else {}
        self.known: dict[str, Link] = beside.known if beside else links
        self.answers: dict[object, Any] = beside.answers if beside else {}
        self._absent: set[str] = set()
        self._ends: dict[str, Link] = {}
        self._locks: set[str] = set()
        self._host: Netlink | None = None
        self._container: Netlink | None = None
        self._namespace: Namespace | None = None

    @property
    def host(self) -> Netlink:
        """A netlink socket of the host's namespace; raises Code.INTERNAL."""
        if self._host is None:
            from cni_common.kernel.netlink import Netlink  # noqa: PLC0415 - see above

            beside = self._beside
            self._host = beside.host if beside else self.hold(Netlink())
        return self._host

    @property
    def container(self) -> Netlink:
        """A netlink socket of the container's namespace.

        Raises Code.INVALID_NETNS or Code.INTERNAL.
        """
        if self._container is None:
            from cni_common.kernel.netlink import Netlink  # noqa: PLC0415 - see above

            with self.entered():
                self._container = self.hold(Netlink())
        return self._container

    @property
    def namespace(self) -> Namespace:
        """The container's namespace; raises Code.INVALID_NETNS where there is none."""
        if self._namespace is None:
            from cni_common.kernel import netns  # noqa: PLC0415 - see above

            self._namespace = self.hold(netns.open_path(self.attachment.netns))
        return self._namespace

    @property
    def made(self) -> tuple[Interface, ...]:
        """What prevResult of a DEL says of interfaces."""
        from cni_common import previous  # noqa: PLC0415 - models are expensive

        return tuple(previous.interfaces(self.request)) if self.request else ()

    def entered(self) -> AbstractContextManager[None]:
        """Move the calling thread into the container's namespace inside the block.

        Raises Code.INVALID_NETNS.
        """
        from cni_common.kernel import netns  # noqa: PLC0415 - see above

        return netns.entered(self.namespace)

    def lives(self) -> bool:
        """Tell whether the container's namespace is there.

        Raises Code.IO_FAILURE or Code.TRY_AGAIN_LATER.
        """
        return netns_identity.lives(self.attachment.netns, self.identity)

    def living(self) -> str:
        """Return where the namespace is, by CNI_NETNS or by the record; "" if gone.

        Raises Code.IO_FAILURE or Code.TRY_AGAIN_LATER.
        """
        recorded = self.record.netns if self.record else ""
        for path in (self.attachment.netns, recorded):
            if path and netns_identity.lives(path, self.identity):
                return path
        return ""

    def finds_namespace(self) -> bool:
        """Tell whether the container's namespace is at its path, or where it was.

        It is `namespace` then. Raises Code.INVALID_NETNS or Code.TRY_AGAIN_LATER when
        that cannot be told.
        """
        from cni_common.kernel import netns  # noqa: PLC0415 - see above

        recorded = self.record.netns if self.record else ""
        for path in dict.fromkeys((self.attachment.netns, recorded)):
            space = None if self._namespace else netns.open_living(path)
            if space is not None:
                self.hold(space)
                if self.identity in {"", space.identity}:
                    self._namespace = space
        return self._namespace is not None

    def warn(self, text: str) -> None:
        """Note what the administrator should know, though the call goes on."""
        if self.request is not None:
            self.request.log.warning(text)

    def link(self, name: str) -> Link:
        """Return the link `name` of the host as this call has seen it last.

        Raises Code.INTERNAL when there is none.
        """
        found = self.known.get(name)
        if found is None:
            from cni_common.kernel import links  # noqa: PLC0415 - see above

            found = self.see(links.existing(self.host, name))
        return found

    def find(self, name: str) -> Link | None:
        """Return the link `name` of the host as `link` does, or None without one."""
        found = self.known.get(name)
        if found is None:
            from cni_common.kernel import links  # noqa: PLC0415 - see above

            found = links.get(self.host, name)
        return self.see(found) if found else None

    def look(self, *names: str) -> list[Link | None]:
        """Return the links of the host with `names` as they are, asked for together.

        Raises Code.INTERNAL.
        """
        from cni_common.kernel import links  # noqa: PLC0415 - see above

        found = links.each(self.host, *names)
        for name, link in zip(names, found, strict=True):
            if link is None:
                self._absent.add(name)
            else:
                self.see(link)
        return found

    def at(self, index: int) -> Link | None:
        """Return the link of the host with `index`, or None; raises Code.INTERNAL."""
        from cni_common.kernel import links  # noqa: PLC0415 - see above

        found = self.survey.by_index.get(index) if self.survey else None
        return found or links.by_index(self.host, index)

    @property
    def sets(self) -> Sets | None:
        """The elements of nftables, where a survey has them."""
        return self.survey.sets if self.survey else None

    def lacks(self, name: str) -> bool:
        """Tell whether this call has looked, and there was no link `name`."""
        return name in self._absent

    def end(self, name: str) -> Link:
        """Return the link `name` of the container as this call has seen it last.

        Raises Code.INVALID_NETNS or Code.INTERNAL when there is none.
        """
        found = self._ends.get(name)
        if found is None:
            from cni_common.kernel import links  # noqa: PLC0415 - see above

            found = self.see_end(links.existing(self.container, name))
        return found

    def see_end(self, link: Link) -> Link:
        """Remember a link of the container as it is now."""
        self._ends[link.name] = link
        return link

    def see(self, link: Link) -> Link:
        """Remember a link of the host as it is now."""
        self.known[link.name] = link
        self._absent.discard(link.name)
        return link

    def once(self, ask: Callable[..., T], *args: Any) -> T:
        """Return what `ask` of `args` answers, asked once for all attachments."""
        key = (ask, args)
        if key not in self.answers:
            self.answers[key] = ask(*args)
        answer: T = self.answers[key]
        return answer

    def forget(self) -> None:
        """Forget what was asked, and every link, since some have changed."""
        self.answers.clear()
        self.known.clear()
        self._absent.clear()
        self._ends.clear()

    def lock(self, name: str) -> None:
        """Hold the lock `name` until the end of the block, however often it is asked.

        Raises Code.IO_FAILURE.
        """
        if name not in self._locks:
            from cni_common import state  # noqa: PLC0415 - see above

            self.hold(state.lock(name))
            self._locks.add(name)

    def hold(self, opened: AbstractContextManager[T]) -> T:
        """Enter `opened`, which is left at the end of the block."""
        return self._opened.enter_context(opened)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *ended: object) -> None:
        self._opened.close()
