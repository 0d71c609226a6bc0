# SPDX-License-Identifier: Apache-2.0
"""Settings of the container's interface, and what they were before."""

from __future__ import annotations

from cni_common import link_backup
from cni_common.attachment.part import Difference, Part
from cni_common.rollback import Gather
from cni_common.spec import gojson
from cni_common.spec.characters import is_directory
from cni_common.spec.errors import CNIError, Code
from cni_common.spec.values import dataclass

TYPE_CHECKING = False  # see launcher/entry.py
if TYPE_CHECKING:
    from collections.abc import Iterator

    from cni_common.attachment.node import Node
    from cni_common.attachment.part import Bits32, Directory, LinkName, Settings
    from cni_common.kernel.link_answer import Link
    from cni_common.shapes import Setting
    from cni_common.spec.request import Request


@dataclass(frozen=True, kw_only=True)
class LinkSettings(Part):
    """`inside`, of that `index`, has the settings `wanted`; others are as `before`.

    What was before lies in `data_dir`, too, where the reference plugin would read it.
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
        """Write the backup, then have all settings.

        Raises Code.IO_FAILURE or Code.INTERNAL.
        """
        from cni_common import link_changes  # noqa: PLC0415 - expensive, and often idle

        link = node.end(self.inside)
        if link.index != self.index:
            raise CNIError(Code.INTERNAL, f"set link {self.inside}: it is another one")
        target = {**self.before, **self.wanted}
        now = link_changes.settings(link)
        to_set = {key: value for key, value in target.items() if now[key] != value}
        node.undo(link_backup.delete, self.data_dir, node.attachment)
        link_backup.write(self.data_dir, node.attachment, self.before)
        node.undo(self._set, node, {key: now[key] for key in to_set})
        self._set(node, to_set)
        if "mac" in target:
            node.undo(link_changes.follow, node, link, str(now["mac"]))
            link_changes.follow(node, link, str(target["mac"]))

    def replace(self, node: Node, former: Part) -> None:
        """Set all settings: `before` has what is not wanted any more."""
        assert isinstance(former, LinkSettings)
        directory = former.data_dir
        node.undo(link_backup.write, directory, node.attachment, former.before)
        self.ensure(node)
        if directory != self.data_dir:
            link_backup.delete(directory, node.attachment)

    def remove(self, node: Node) -> None:
        """Restore everything, where namespace and link live; delete the backup.

        What cannot be put back is a warning: the namespace is about to go, and a failed
        DEL would keep the plugins that come after it from theirs.
        """
        _put_back(node, self.before, self.index)
        link_backup.delete(self.data_dir, node.attachment)

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
                _put_back(node, before)
                link_backup.delete(directory, node.attachment)


def _put_back(node: Node, before: dict[str, Setting], index: int = 0) -> None:
    """Set the settings `before`, if the link is there, of that `index` if any."""
    if not before or not node.finds_namespace():
        return
    from cni_common import link_changes  # noqa: PLC0415 - as above
    from cni_common.kernel import links  # noqa: PLC0415 - as above

    errors = Gather()
    inside = node.container
    link: Link | None = errors.attempt(links.get, inside, node.attachment.ifname)
    if link is not None and index in {0, link.index}:
        for key, value in before.items():
            errors.attempt(link_changes.change, inside, link.name, key, value)
        if "mac" in before:
            errors.attempt(link_changes.follow, node, link, str(before["mac"]))
    for cause in dict.fromkeys(str(error) for error in errors.raised):
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
