# SPDX-License-Identifier: Apache-2.0
"""Lists of domains as DHCP has them (RFC 3397, RFC 8415, 10)."""

from __future__ import annotations

_POINTER, _DEPTH_MAX, _NAME_MAX = 0xC0, 64, 255


def listed(content: bytes) -> list[str]:
    """Return the domains; none if the content is no list of them."""
    found, at = [], 0
    try:
        while at < len(content):
            name, at = _name(content, at, 0)
            found.append(name)
    except (IndexError, ValueError):
        return []
    return [name for name in found if name]


def _name(content: bytes, at: int, depth: int) -> tuple[str, int]:
    labels: list[str] = []
    while length := content[at]:
        if length & _POINTER == _POINTER:
            if depth > _DEPTH_MAX:
                raise ValueError("a name that ends nowhere")
            target = (length & ~_POINTER) << 8 | content[at + 1]
            rest, _ = _name(content, target, depth + 1)
            labels.append(rest)
            at += 2
            break
        label = content[at + 1 : at + 1 + length].decode("ascii")
        if not label.isprintable() or " " in label:
            raise ValueError("a name that is not printed")
        labels.append(label)
        at += 1 + length
    else:
        at += 1
    whole = ".".join(filter(None, labels))
    if len(whole) > _NAME_MAX:
        raise ValueError("a name that is too long")
    return whole, at
