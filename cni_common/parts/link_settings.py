# SPDX-License-Identifier: Apache-2.0
"""Settings of the container's interface, and what they were before."""

from __future__ import annotations

from cni_common import link_backup
from cni_common.attachment.part import Difference, Part
from cni_common.frame.rollback import Gather
from cni_common.spec import gojson
from cni_common.spec.characters import is_directory
from cni_common.spec.errors import CNIError, Code
from cni_common.spec.values import dataclass

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Iterator

    from cni_common.attachment.node import Node
    from cni_common.attachment.part import Bits32, Directory, LinkName, Settings
    from cni_common.kernel.link_answer import Link
    from cni_common.shapes import Setting
    from cni_common.spec.request import Request


@dataclass(frozen=True, kw_only=True)
class LinkSettings(Part):
    """`inside`, of that `index`, has the settings `wanted`; `before` tells what it had.

    That lies in `data_dir`, too, where the reference plugin would read it.
    """

    inside: LinkName
    index: Bits32
    wanted: Settings
    before: Settings
    data_dir: Directory

    def __str__(self) -> str:
        """Return the sentence."""
        values = ", ".join(
            f"{key} {_text(value)}" for key, value in self.wanted.items()
        )
        return f"{self.inside} in the container has {values}"

    def ensure(self, node: Node) -> None:
        """Write the backup, then set all settings.

        Raises Code.IO_FAILURE or Code.INTERNAL.
        """
        self._have(node, self.wanted)

    def replace(self, node: Node, former: Part) -> None:
        """Set all settings, and what was before where that is wanted no more."""
        assert isinstance(former, LinkSettings)
        ours = former.ours(node.end(self.inside))
        gone = {key: value for key, value in ours.items() if key not in self.wanted}
        directory = former.data_dir
        node.undo(link_backup.write, directory, node.attachment, former.before)
        self._have(node, gone | self.wanted)
        if directory != self.data_dir:
            link_backup.delete(directory, node.attachment)

    def remove(self, node: Node) -> None:
        """Restore everything, where namespace and link live; delete the backup.

        What somebody else has set since stays. What the kernel refuses is a warning:
        the namespace is about to go, and a failed DEL would keep the plugins that come
        after it from theirs.
        """
        link = _end(node, self.index) if self.before else None
        if link is not None:
            _put_back(node, link, self.ours(link))
        link_backup.delete(self.data_dir, node.attachment)

    def _have(self, node: Node, target: dict[str, Setting]) -> None:
        from cni_common import link_changes  # noqa: PLC0415 - expensive, and often idle

        link = node.end(self.inside)
        if link.index != self.index:
            raise CNIError(Code.INTERNAL, f"set link {self.inside}: it is another one")
        now = link_changes.settings(link)
        to_set = {key: value for key, value in target.items() if now[key] != value}
        node.undo(link_backup.delete, self.data_dir, node.attachment)
        link_backup.write(self.data_dir, node.attachment, self.before)
        node.undo(self._set, node, {key: now[key] for key in to_set})
        self._set(node, to_set)
        if "mac" in target:
            node.undo(link_changes.follow, node, link, str(now["mac"]))
            link_changes.follow(node, link, str(target["mac"]))

    def ours(self, link: Link) -> dict[str, Setting]:
        """Return what was before, of that which nobody else has set since.

        A record of before does not tell what was set.
        """
        from cni_common import link_changes  # noqa: PLC0415 - as above

        now = link_changes.settings(link)
        wanted = now | self.wanted
        return {k: v for k, v in self.before.items() if now[k] in {wanted[k], v}}

    def loss(self, node: Node) -> str:
        """Tell whether the link is gone."""
        is_there = node.end(self.inside).index == self.index
        return "" if is_there else f"link {self.inside} is gone"

    def differences(self, node: Node) -> Iterator[Difference]:
        """Yield the settings that are others."""
        from cni_common import link_changes  # noqa: PLC0415 - as above

        now = link_changes.settings(node.end(self.inside))
        for key, value in self.wanted.items():
            if now[key] != value:
                cause = f"{key} is {_text(now[key])}, not {_text(value)}"
                yield Difference(f"check link {self.inside}: {cause}")

    def _set(self, node: Node, values: dict[str, Setting]) -> None:
        from cni_common import link_changes  # noqa: PLC0415 - as above

        for key, value in values.items():
            link_changes.change(node.container, self.inside, key, value)

    @classmethod
    def remove_unrecorded(cls, node: Node) -> None:
        """Restore everything by the reference plugin's backup, and delete that.

        GC, which knows no namespace, leaves that to DEL.
        """
        if node.request is None or node.request.command != "DEL":
            return
        directories = _data_dir(node.request), link_backup.DATA_DIR
        for directory in dict.fromkeys(directories):
            before = link_backup.read(directory, node.attachment)
            if before is not None:
                link = _end(node) if before else None
                if link is not None:
                    _put_back(node, link, before)
                link_backup.delete(directory, node.attachment)


def _end(node: Node, index: int = 0) -> Link | None:
    """Return the link, of that `index` if any, where it and its namespace live."""
    from cni_common.kernel import links  # noqa: PLC0415 - as above

    if not node.finds_namespace():
        return None
    link = links.get(node.container, node.attachment.ifname)
    return link if link is not None and index in {0, link.index} else None


def _put_back(node: Node, link: Link, before: dict[str, Setting]) -> None:
    """Set the settings `before`; raises what another DEL may mend."""
    from cni_common import link_changes  # noqa: PLC0415 - as above

    errors = Gather()
    for key, value in before.items():
        errors.attempt(link_changes.change, node.container, link.name, key, value)
    if "mac" in before:
        errors.attempt(link_changes.follow, node, link, str(before["mac"]))
    errors.retry()
    for cause in dict.fromkeys(map(str, errors.raised)):
        node.warn(f"put back: {cause}")


def _data_dir(request: Request) -> str:
    directory = gojson.member(request.document, "dataDir")
    if isinstance(directory, str) and is_directory(directory):
        return directory
    return link_backup.DATA_DIR


def _text(value: Setting) -> str:
    if value is True:
        return "on"
    return "off" if value is False else str(value)
