# SPDX-License-Identifier: Apache-2.0
"""Published ports as words of a command line, as Docker and Podman have them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cni_common.kernel.element_bytes import PROTOCOLS
from cni_common.published.claims import Mapping, Port
from cni_common.spec.characters import is_port
from cni_common.spec.errors import CNIError, Code
from cni_common.spec.fields import address
from cni_common.spec.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterable

PUBLISHED = "[HOSTIP:]HOSTPORT:PORT[/PROTOCOL]"
WITHDRAWN = "[HOSTIP:]HOSTPORT[:PORT][/PROTOCOL]"
_MOST = 65535


@dataclass(frozen=True)
class Meant:
    """Which mappings a word means: what it leaves out is any."""

    word: str
    port: Port
    container_port: int = 0
    host_ip: str | None = None

    def fits(self, mapping: Mapping) -> bool:
        """Tell whether the mapping is one of those."""
        return (
            mapping.port == self.port
            and self.container_port in {0, mapping.container_port}
            and self.host_ip in {None, mapping.host_ip}
        )


def mappings(words: Iterable[str]) -> list[Mapping]:
    """Return what is to be published; raises Code.INVALID_ENVIRONMENT."""
    found = []
    for word in words:
        for each in _read(word, PUBLISHED):
            if not each.container_port:
                raise _wrong(word, PUBLISHED, "no port of the container is named")
            at = each.host_ip or ""
            found.append(Mapping(each.port, each.container_port, at))
    return list(dict.fromkeys(found))


def meant(words: Iterable[str]) -> list[Meant]:
    """Return what is to be withdrawn; raises Code.INVALID_ENVIRONMENT."""
    return [each for word in words for each in _read(word, WITHDRAWN)]


def of_documents(documents: object) -> list[Mapping]:
    """Return the mappings that a runtime has kept, without what is none."""
    found = []
    for each in documents if isinstance(documents, list) else ():
        try:
            protocol = str(each.get("protocol") or "tcp").lower()
            port = Port.named(f"{protocol}-{each['hostPort']}")
            at = str(each.get("hostIP") or "")
            found.append(Mapping(port, int(each["containerPort"]), at))
        except (AttributeError, KeyError, TypeError, ValueError):
            continue
    return found


def document(mapping: Mapping) -> dict[str, Any]:
    """Return a mapping as runtimes give it."""
    found = {
        "hostPort": mapping.port.number,
        "containerPort": mapping.container_port,
        "protocol": mapping.port.protocol,
    }
    return found | ({"hostIP": mapping.host_ip} if mapping.host_ip else {})


def _read(word: str, form: str) -> list[Meant]:
    """Return what a word means, one for each port of a range."""
    rest, _, protocol = word.partition("/")
    protocol = protocol.lower() if "/" in word else "tcp"
    if protocol not in PROTOCOLS:
        raise _wrong(word, form, f"protocols are {', '.join(sorted(PROTOCOLS))}")
    at, numbers = _apart(word, rest, form)
    host, *behind = [_range(word, text, form) for text in numbers]
    inside = behind[0] if behind else range(0)
    if behind and len(inside) != len(host):
        raise _wrong(word, form, "the ranges have different lengths")
    pairs = zip(host, inside or [0] * len(host), strict=True)
    return [Meant(word, Port(protocol, port), to, at) for port, to in pairs]


def _apart(word: str, rest: str, form: str) -> tuple[str | None, list[str]]:
    """Return address, if there is one, and one or two ports."""
    at: str | None = None
    if rest.startswith("["):
        at, closed, rest = rest[1:].partition("]")
        if not closed or not rest.startswith(":"):
            raise _wrong(
                word, form, "an IPv6 address stands in brackets before a colon"
            )
        rest = rest[1:]
    numbers = rest.split(":")
    if at is None and "." in numbers[0]:
        at, *numbers = numbers
    if not 1 <= len(numbers) <= 2:  # noqa: PLR2004 - of the host, and of the container
        hint = "an IPv6 address stands in brackets" if len(numbers) > 3 else "ports"  # noqa: PLR2004 - address and two ports
        raise _wrong(word, form, f"{hint} before and behind one colon")
    return _address(word, at, form), numbers


def _address(word: str, text: str | None, form: str) -> str | None:
    if text is None:
        return None
    try:
        return str(address(text))
    except ValueError as error:
        raise _wrong(word, form, f"{text!r} is no address") from error


def _range(word: str, text: str, form: str) -> range:
    first, dash, last = text.partition("-")
    ends = (first, last if dash else first)
    if not all(is_port(end) and 0 < int(end) <= _MOST for end in ends):
        raise _wrong(word, form, f"{text!r} is no port of 1 to {_MOST}")
    found = range(int(ends[0]), int(ends[1]) + 1)
    if not found:
        raise _wrong(word, form, f"the range {text} is empty")
    return found


def _wrong(word: str, form: str, cause: str) -> CNIError:
    hint = f"the form is {form}"
    return CNIError(Code.INVALID_ENVIRONMENT, f"read port {word!r:.80}: {cause}", hint)
