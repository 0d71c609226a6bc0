# SPDX-License-Identifier: Apache-2.0
"""Kernel parameters of the container, and what they were before."""

from __future__ import annotations

from cni_common.attachment.part import Difference, Part
from cni_common.frame.rollback import Gather
from cni_common.kernel import sysctl
from cni_common.spec.values import dataclass

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Iterator

    from cni_common.attachment.node import Node
    from cni_common.attachment.part import Parameters


@dataclass(frozen=True, kw_only=True)
class Sysctl(Part):
    """Parameters have the values of `wanted`; `before` tells what they had.

    They are named by their path under /proc/sys. What nobody can read has no value
    before.
    """

    wanted: Parameters
    before: Parameters

    def __str__(self) -> str:
        """Return the sentence."""
        values = ", ".join(f"{name} is {text}" for name, text in self.wanted.items())
        return f"in the container {values}"

    def ensure(self, node: Node) -> None:
        """Write what differs; raises Code.INTERNAL."""
        self._have(node, self.wanted)

    def replace(self, node: Node, former: Part) -> None:
        """Write what differs, and what was before where that is wanted no more."""
        assert isinstance(former, Sysctl)
        with node.entered():
            ours = former.ours()
        gone = {name: value for name, value in ours.items() if name not in self.wanted}
        self._have(node, gone | self.wanted)

    def remove(self, node: Node) -> None:
        """Restore everything, where the namespace lives.

        What somebody else has written since stays. What the kernel refuses is a
        warning: the namespace is about to go, and a failed DEL would keep the plugins
        that come after it from theirs.
        """
        if not self.before or not node.finds_namespace():
            return
        errors = Gather()
        with node.entered():
            for name, value in [*self.ours().items()] * 2:  # one may change another
                errors.attempt(_write, {name: value})
            errors.retry()
        for cause in dict.fromkeys(map(str, errors.raised)):
            node.warn(f"put back: {cause}")

    def _have(self, node: Node, target: dict[str, str]) -> None:
        """Write what differs.

        Writing one may change another one (conf/all), so that all of them count if any
        has to be written.
        """
        with node.entered():
            now = {name: sysctl.shown(name) for name in target}
            if all(is_same(now[name], text) for name, text in target.items()):
                return
            shown = {name: text for name, text in now.items() if text is not None}
            node.undo(_write_in, node, shown)
            _write(target)

    def ours(self) -> dict[str, str]:
        """Return what was before, of that which nobody else has written since.

        A record of before does not tell what was written.
        """

        def is_ours(name: str, before: str) -> bool:
            now, wanted = sysctl.shown(name), self.wanted.get(name)
            return wanted is None or is_same(now, wanted) or is_same(now, before)

        return {name: text for name, text in self.before.items() if is_ours(name, text)}

    def differences(self, node: Node) -> Iterator[Difference]:
        """Yield the parameters that show another value."""
        with node.entered():
            now = {name: sysctl.shown(name) for name in self.wanted}
        for name, text in self.wanted.items():
            if now[name] is not None and not is_same(now[name], text):
                cause = f"it is {now[name]}, not {text}"
                yield Difference(f"check sysctl {name}: {cause}")


def _write_in(node: Node, values: dict[str, str]) -> None:
    with node.entered():
        _write(values)


def _write(values: dict[str, str]) -> None:
    """Set all of `values`, whatever writing one does to another.

    Raises Code.INTERNAL.
    """
    for name, value in values.items():
        if not is_same(sysctl.shown(name), value):
            sysctl.set_value(name, value)
    for name, value in values.items():
        found = sysctl.shown(name)
        if found is not None and not is_same(found, value):
            sysctl.set_value(name, value)


def is_same(shown: str | None, wanted: str) -> bool:
    """Tell whether the kernel shows `wanted`, be it spaced or written otherwise.

    The kernel separates by tabs, takes numbers in octal and hexadecimal, and shows
    IPv6 addresses in full.
    """
    if shown is None:
        return False
    ours, theirs = wanted.split(), shown.split()
    return ours == theirs or [_meant(x) for x in ours] == [_meant(x) for x in theirs]


def _meant(text: str) -> object:
    digits = text.removeprefix("-")
    octal = len(digits) > 1 and digits[0] == "0" and digits.isdigit()
    try:
        if ":" in text:
            from ipaddress import ip_address  # noqa: PLC0415 - rarely needed

            return ip_address(text)
        return int(text, 8 if octal else 0)
    except ValueError:
        return text
