# SPDX-License-Identifier: Apache-2.0
"""CNI_ARGS: "extra arguments passed in by the user", `KEY=value;KEY=value`."""

from __future__ import annotations

from cni_common.spec.errors import CNIError, Code

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Iterable

# Every key that a plugin of the suite understands. A delegate is called with the
# same CNI_ARGS, so a key that only the other one reads is not unknown.
KNOWN = frozenset({"IP", "MAC", "GATEWAY", "K8S_POD_NAME", "IgnoreUnknown"})
_BOOLEANS = {"1": True, "true": True, "0": False, "false": False}


def parse(
    text: str, *, strict: bool = True, known: Iterable[str] = KNOWN
) -> dict[str, str]:
    """Return the pairs of CNI_ARGS.

    A pair without `=`, an `IgnoreUnknown` that is not one of 1, true, 0 and false in
    any case, and, unless it is true, a key outside `known` are errors
    (Code.INVALID_ENVIRONMENT) when `strict`; otherwise they are passed over. A value
    may itself contain `=`, and a trailing `;` is accepted.
    """
    pairs: dict[str, str] = {}
    for part in text.split(";"):
        if not part:
            continue
        key, equals, value = part.partition("=")
        if equals and key:
            pairs[key] = value
        elif strict:
            msg = f"parse CNI_ARGS: invalid pair {part!r}"
            raise CNIError(Code.INVALID_ENVIRONMENT, msg)
    if strict and not _ignores_unknown(pairs):
        unknown = sorted(set(pairs) - set(known))
        if unknown:
            msg = f"parse CNI_ARGS: unknown keys {unknown}"
            raise CNIError(Code.INVALID_ENVIRONMENT, msg, "IgnoreUnknown is not set")
    return pairs


def _ignores_unknown(pairs: dict[str, str]) -> bool:
    value = pairs.get("IgnoreUnknown", "false")
    try:
        return _BOOLEANS[value.lower()]
    except KeyError:
        msg = f"parse CNI_ARGS: IgnoreUnknown: {value!r:.80} is neither true nor false"
        raise CNIError(Code.INVALID_ENVIRONMENT, msg) from None
