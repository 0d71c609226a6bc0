# SPDX-License-Identifier: Apache-2.0
"""conditionsV4 and conditionsV6: matches in the language of nft or in the words of
iptables, and nothing but matches.
"""

from __future__ import annotations

from cni_common.spec.characters import Pattern
from cni_common.spec.errors import CNIError, Code

# Statements that decide or change something; a condition only looks at the packet.
_DECISIONS = {"accept", "drop", "reject", "continue", "return", "jump", "goto", "queue"}
_CHANGES = {"dnat", "snat", "masquerade", "redirect", "notrack", "dup", "fwd", "tproxy"}
_KEYWORDS = {"set", "map", "vmap", "add", "update", "delete", "comment", "synproxy"}
_STATEMENTS = _DECISIONS | _CHANGES | _KEYWORDS
_FORBIDDEN = Pattern(r"[;#$\\\x00-\x1f\x7f]")
_SEPARATORS = Pattern(r"[\s,{}()]+")
_QUOTED = Pattern(r'"[^"]*"')
_IPTABLES = ("-", "!")


def match(key: str, family: int, tokens: list[str]) -> str:
    """Return the conditions `tokens` of `key` in nft's language; "" for none.

    Raises Code.UNSUPPORTED_FIELD for a word of iptables that cannot be said there, and
    Code.INVALID_CONFIG for what is no match.
    """
    if not tokens:
        return ""
    given = " ".join(tokens)
    try:
        if tokens[0].startswith(_IPTABLES):
            from plugins.portmap import iptables_words  # noqa: PLC0415 - rare, and expensive

            return iptables_words.translated(family, tokens)
        _check(given)
    except CNIError as error:
        raise CNIError(error.code, f"use {key} {given!r}: {error.msg}") from error
    return given


def _check(text: str) -> None:
    cause = _fault(text)
    if cause:
        raise CNIError(Code.INVALID_CONFIG, cause)


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
