# SPDX-License-Identifier: Apache-2.0
"""Classes of values: those of the standard library that the suite uses.

They are expensive to import and to make, each by `exec`. A packed file has
cni_common/compiled/values.py in place of this module (launcher/schemas.py).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from enum import IntEnum, StrEnum
from typing import NamedTuple

__all__ = [
    "IntEnum",
    "NamedTuple",
    "StrEnum",
    "asdict",
    "dataclass",
    "field",
    "replace",
]
