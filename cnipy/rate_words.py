# SPDX-License-Identifier: Apache-2.0
"""Rates and sizes as words of a command line, in bits: as tc(8) and Kubernetes do."""

from __future__ import annotations

import re
from fractions import Fraction

from cni_common.spec.errors import CNIError, Code

_DECIMAL = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}
_WORD = re.compile(r"([0-9]+(?:\.[0-9]+)?)([kmgt]?)(i?)(bit)?", re.IGNORECASE)
FORM = "10M, 10mbit, 1.5Gbit, 512Ki or a number of bits"

_LEAST_BURST = 8 * (1 << 16)  # bits: what a sender hands to its link at once


def bits(option: str, word: str) -> int:
    """Return how many bits a word means; raises Code.INVALID_ENVIRONMENT."""
    found = _WORD.fullmatch(word)
    if found is None or (found[3] and not found[2]) or word.endswith("m"):
        # In Kubernetes that is a thousandth.
        msg = f"read --{option} {word!r:.80}: it is neither rate nor size"
        raise CNIError(Code.INVALID_ENVIRONMENT, msg, f"the form is {FORM}")
    thousand = 1024 if found[3] else 1000
    return int(Fraction(found[1]) * thousand ** _DECIMAL[found[2].lower()])


def burst(rate: int) -> int:
    """Return how many bits may pass at once where nobody says: a tenth of a second."""
    return max(rate // 10, _LEAST_BURST)
