# SPDX-License-Identifier: Apache-2.0
"""Conditions in the words of iptables(8) and iptables-extensions(8), said in nft's.

The reference hands them to iptables as they are, so lists on nodes have them.
"""

from __future__ import annotations

import ipaddress

from cni_common.spec.characters import Pattern
from cni_common.spec.errors import CNIError, Code

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

_LONG = {
    "--source": "-s",
    "--src": "-s",
    "--destination": "-d",
    "--dst": "-d",
    "--in-interface": "-i",
    "--out-interface": "-o",
    "--protocol": "-p",
    "--proto": "-p",
    "--match": "-m",
    "--source-port": "--sport",
    "--destination-port": "--dport",
    "--source-ports": "--sports",
    "--destination-ports": "--dports",
    "--state": "--ctstate",
}
_MODULES = {"addrtype", "comment", "conntrack", "iprange", "mark", "multiport", "state"}
_TRANSPORTS = {"tcp", "udp", "sctp"}
_TYPES = {
    *("unspec", "unicast", "local", "broadcast", "anycast", "multicast"),
    *("blackhole", "unreachable", "prohibit"),
}
_STATES = {"invalid", "new", "established", "related", "untracked"}
_LINK = Pattern(r'[^\s"*\\/:\x00-\x1f\x7f]{1,15}')
_MARK = Pattern(r"(?:0x[0-9a-f]+|\d+)(?:/(?:0x[0-9a-f]+|\d+))?")
_PORT = Pattern("[0-9]{1,5}")
_ATTACHED = Pattern(r"-[a-z].+")  # a value without a space: -ieth0


def translated(family: int, tokens: list[str]) -> str:
    """Return `tokens` as a match of nft; "" when they match every packet of `family`.

    Raises Code.UNSUPPORTED_FIELD for a word that has no counterpart, and
    Code.INVALID_CONFIG for a value that is none.
    """
    family_words = _Family(family)
    found = []
    for negated, option, value in _options(tokens):
        if option == "-m":
            found.append(_module(value))
            continue
        say = family_words.sayings.get(option)
        if say is None or (negated and option == "--comment"):
            raise _unsaid(f"{'! ' * negated}{option}")
        found.append(say("!= " * negated, value))
    return " ".join(filter(None, found))


def _options(tokens: list[str]) -> Iterator[tuple[bool, str, str]]:
    """Yield (whether a ! stands before it, short or only name, value)."""
    rest = iter(tokens)
    negated = False
    for word in rest:
        if word == "!" and not negated:
            negated = True
            continue
        option, equals, value = word, "", ""
        if word.startswith("--"):
            option, equals, value = word.partition("=")
        elif _ATTACHED.fullmatch(word):
            option, equals, value = word[:2], "=", word[2:]
        if not option.startswith("-"):
            raise _unsaid(word)
        if not equals:
            found = next(rest, None)
            if found is None:
                # A flag, such as --syn, is said to be unknown rather than unfinished.
                known = _LONG.get(option, option) in {"-m", *_Family(4).sayings}
                raise _invalid(f"{option} has no value") if known else _unsaid(option)
            value = found
        yield negated, _LONG.get(option, option), value
        negated = False
    if negated:
        raise _invalid("nothing stands behind !")


def _module(name: str) -> str:
    if name in _TRANSPORTS:
        return f"meta l4proto {name}"
    if name in _MODULES:
        return ""  # its options say what it matches
    hint = ": nftables does not see ipsets" if name == "set" else ""
    raise _unsaid(f"-m {name}", hint)


class _Family:
    """The options that say something in family 4 or 6, each as (negation, value)."""

    def __init__(self, family: int) -> None:
        self._version = family
        self._protocol = "ip" if family == 4 else "ip6"  # noqa: PLR2004 - the family's number
        ports = {"--sport": "sport", "--dport": "dport"}
        self.sayings: dict[str, Callable[[str, str], str]] = {
            "-s": lambda no, value: self._address("saddr", no, value),
            "-d": lambda no, value: self._address("daddr", no, value),
            "--ctorigsrc": lambda no, value: self._address("saddr", no, value, "ct"),
            "--ctorigdst": lambda no, value: self._address("daddr", no, value, "ct"),
            "--src-range": lambda no, value: self._range("saddr", no, value),
            "--dst-range": lambda no, value: self._range("daddr", no, value),
            "-i": lambda no, value: _link("iifname", no, value),
            "-o": lambda no, value: _link("oifname", no, value),
            "-p": _transport,
            "--src-type": lambda no, value: f"fib saddr type {no}{_types(value)}",
            "--dst-type": lambda no, value: f"fib daddr type {no}{_types(value)}",
            "--ctstate": lambda no, value: f"ct state {no}{_states(value)}",
            "--mark": _mark,
            "--comment": lambda _no, _value: "",
        }
        for option, field in ports.items():
            self.sayings[option] = self.sayings[f"{option}s"] = _ports(field)

    def _address(self, field: str, no: str, value: str, of: str = "") -> str:
        networks = [self._network(text) for text in value.split(",")]
        said = ", ".join(map(str, ipaddress.collapse_addresses(networks)))
        original = "ct original " if of else ""
        return f"{original}{self._protocol} {field} {no}{{ {said} }}"

    def _network(self, text: str) -> Any:
        try:
            network = ipaddress.ip_network(text, strict=False)
        except ValueError as error:
            raise self._no_address(text) from error
        if network.version != self._version:
            raise self._no_address(text)
        return network

    def _no_address(self, text: str) -> CNIError:
        return _invalid(f"{text!r} is no IPv{self._version} address or network")

    def _range(self, field: str, no: str, value: str) -> str:
        first, _, last = value.partition("-")
        ends = [self._network(text).network_address for text in (first, last or first)]
        if "/" in value or ends[0] > ends[1]:
            raise _invalid(f"{value!r} is no range of addresses")
        return f"{self._protocol} {field} {no}{ends[0]}-{ends[1]}"


def _link(field: str, no: str, value: str) -> str:
    if value == "+" and not no:
        return ""
    stem = value.removesuffix("+")
    if not _LINK.fullmatch(stem):
        raise _invalid(f"{value!r} names no link")
    return f'{field} {no}"{stem}{"*" * (stem != value)}"'


def _transport(no: str, value: str) -> str:
    name = value.lower()
    if name in {"all", "0"} and not no:
        return ""
    if name not in _TRANSPORTS and not (name.isascii() and name.isdigit()):
        raise _unsaid(f"-p {value}")
    return f"meta l4proto {no}{name}"


def _ports(field: str) -> Callable[[str, str], str]:
    def say(no: str, value: str) -> str:
        said = ", ".join(_port_range(text) for text in value.split(","))
        return f"th {field} {no}{{ {said} }}"

    return say


def _port_range(text: str) -> str:
    first, colon, last = text.partition(":")
    ends = (first or "0", last or "65535") if colon else (first, first)
    if not all(_PORT.fullmatch(end) for end in ends):
        raise _invalid(f"{text!r} is no port")
    return f"{ends[0]}-{ends[1]}" if colon else first


def _types(value: str) -> str:
    return _listed(value, _TYPES)


def _states(value: str) -> str:
    return _listed(value, _STATES)


def _listed(value: str, known: set[str]) -> str:
    names = value.lower().split(",")
    for name in names:
        if name not in known:
            raise _unsaid(name.upper())
    return f"{{ {', '.join(dict.fromkeys(names))} }}"


def _mark(no: str, value: str) -> str:
    text = value.lower()
    if not _MARK.fullmatch(text):
        raise _invalid(f"{value!r} is no mark")
    mark, _, mask = text.partition("/")
    return f"meta mark & {mask or '0xffffffff'} {no or '== '}{mark}"


def _unsaid(word: str, hint: str = "") -> CNIError:
    return CNIError(
        Code.UNSUPPORTED_FIELD, f"{word!r} of iptables has no counterpart here{hint}"
    )


def _invalid(cause: str) -> CNIError:
    return CNIError(Code.INVALID_CONFIG, cause)
