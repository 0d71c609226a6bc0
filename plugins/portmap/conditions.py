# SPDX-License-Identifier: Apache-2.0
"""conditionsV4 and conditionsV6: matches in nft's language, and nothing but matches."""

from __future__ import annotations

import hashlib
import re

from cni_common.spec.errors import CNIError, Code

# Statements that decide or change something; a condition only looks at the packet.
_DECISIONS = {"accept", "drop", "reject", "continue", "return", "jump", "goto", "queue"}
_CHANGES = {"dnat", "snat", "masquerade", "redirect", "notrack", "dup", "fwd", "tproxy"}
_KEYWORDS = {"set", "map", "vmap", "add", "update", "delete", "comment", "synproxy"}
_STATEMENTS = _DECISIONS | _CHANGES | _KEYWORDS
_FORBIDDEN = re.compile(r"[;#$\\\x00-\x1f\x7f]")
_SEPARATORS = re.compile(r"[\s,{}()]+")
_QUOTED = re.compile(r'"[^"]*"')
_IPTABLES = ("-", "!")


def check(key: str, tokens: list[str]) -> None:
    """Raise code 2 for conditions in iptables syntax, code 7 for what is no match."""
    if not tokens:
        return
    text = " ".join(tokens)
    if tokens[0].startswith(_IPTABLES):
        msg = f"use {key} {text!r}: iptables syntax, while the rules are nftables"
        raise CNIError(Code.UNSUPPORTED_FIELD, msg)
    cause = _fault(text)
    if cause:
        raise CNIError(Code.INVALID_CONFIG, f"use {key} {text!r}: {cause}")


def scope(network: str, family: int, text: str) -> str:
    """Return 16 hexadecimal digits for a network under its conditions, or "".

    Changed conditions give another scope, so that containers keep those under which
    they were attached.
    """
    if not text:
        return ""
    identity = f"{network}\0{family}\0{text}".encode("utf-8", "surrogateescape")
    return hashlib.sha256(identity).hexdigest()[:16]


def _fault(text: str) -> str:
    if _FORBIDDEN.search(text):
        return "it has a character that ends or escapes a match"
    if text.count('"') % 2:
        return "a quotation mark is not closed"
    bare = _QUOTED.sub(" ", text)
    depth = 0
    for character in bare:
        depth += {"{": 1, "}": -1}.get(character, 0)
        if depth < 0:
            break
    if depth:
        return "its braces do not match"
    for word in _SEPARATORS.split(bare):
        if word.lower() in _STATEMENTS:
            return f"{word!r} is not a match"
    if not bare.strip() and '"' not in text:
        return "it is empty"
    return ""
