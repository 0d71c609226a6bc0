# SPDX-License-Identifier: Apache-2.0
"""Names of hosts (RFC 1123, section 2.1), and those under which a container is found.

An underscore counts as a letter: Podman gives every container a name with one in it.
"""

from __future__ import annotations

from cni_common.spec.characters import Pattern

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Iterable

_LABEL = Pattern(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
_LONGEST = 253  # RFC 1035, section 2.3.4, as text


def is_host_name(name: str) -> bool:
    """Tell whether `name` can be served; "localhost" is every host's own (RFC 6761)."""
    labels = name.split(".")
    return (
        len(name) <= _LONGEST
        and all(_LABEL.fullmatch(label) for label in labels)
        and name.casefold() != "localhost"
    )


def served(names: Iterable[str], domain: str) -> list[str]:
    """Return what is answered for containers called `names`, each once.

    A name is found below `domain`, and one without a dot also by itself. A name with a
    dot is nothing by itself, because that would take somebody's name in the Internet.
    """
    found: dict[str, str] = {}
    for name in names:
        for each in _forms(name, domain):
            if is_host_name(each):
                found.setdefault(each.casefold(), each)
    return list(found.values())


def _forms(name: str, domain: str) -> list[str]:
    if not domain:
        return [] if "." in name else [name]
    if name.casefold().endswith(f".{domain.casefold()}"):
        return [name]
    whole = f"{name}.{domain}"
    return [whole] if "." in name else [whole, name]
