# SPDX-License-Identifier: Apache-2.0
"""Who a lease belongs to, as the reference writes it into the lease's file."""

from __future__ import annotations

from binascii import crc32

from cni_common.spec.characters import is_identifier
from cni_common.spec.values import dataclass

_KEY_MAX = 200


@dataclass(frozen=True)
class Owner:
    """An attachment; without `ifname`, a container as releases before 0.7 wrote it."""

    container_id: str
    ifname: str = ""

    @property
    def content(self) -> bytes:
        """Content of the lease's file."""
        text = (
            f"{self.container_id}\r\n{self.ifname}"
            if self.ifname
            else self.container_id
        )
        return text.encode("utf-8", "surrogateescape")

    @property
    def legacy(self) -> Owner:
        """The same container in the old form, which says nothing of the interface."""
        return Owner(self.container_id)

    @property
    def key(self) -> str:
        """A file name that stands for the owner; "@" is in no container ID."""
        key = f"{self.container_id}@{self.ifname}"
        raw = key.encode("utf-8", "surrogateescape")
        if len(raw) <= _KEY_MAX:
            return key
        return f"{self.container_id[: _KEY_MAX // 2]}@~{crc32(raw):08x}"


def owner_of(content: bytes) -> Owner | None:
    """Return the owner that a lease's content names, or None if it names none."""
    container_id, line_break, ifname = content.partition(b"\r\n")
    # Latin-1 has a character for each byte, and none beside ASCII is of an identifier.
    if not is_identifier(container_id.decode("latin-1")):
        return None
    if line_break and (ifname.split() != [ifname] or b"/" in ifname or b"\0" in ifname):
        return None
    return Owner(container_id.decode(), ifname.decode("utf-8", "surrogateescape"))
