# SPDX-License-Identifier: Apache-2.0
"""What annotations of models are written with, for pydantic evaluates them.

A packed file has cni_common/compiled/typed.py in its place (launcher/schemas.py).
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

__all__ = ["Annotated", "Any", "ClassVar", "Literal"]
