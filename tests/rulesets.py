# SPDX-License-Identifier: Apache-2.0
"""nftables tables as nft lists them, without what differs between two equal ones."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from lab import nft_objects

if TYPE_CHECKING:
    from collections.abc import Iterator


def table(family: str, name: str) -> list[str]:
    """Return everything in a table: rules in their order, elements in none."""
    return [
        json.dumps(_steady(item), sort_keys=True)
        for item in sorted(nft_objects("table", family, name), key=_rank)
    ]


def chains(family: str, name: str) -> list[str]:
    """Return the names of the chains of a table that have rules."""
    listed = nft_objects("table", family, name)
    return sorted({item["rule"]["chain"] for item in listed if "rule" in item})


def _rank(item: dict[str, Any]) -> tuple[str, str]:
    ((kind, described),) = item.items()
    return kind, described.get("chain", described.get("name"))


def _steady(item: dict[str, Any]) -> dict[str, Any]:
    ((kind, described),) = item.items()
    kept = {key: value for key, value in described.items() if key != "handle"}
    if "elem" in kept:
        kept["elem"] = sorted(_sorted(kept["elem"]))
    return {kind: kept}


def _sorted(elements: list[Any]) -> Iterator[str]:
    for element in elements:
        yield json.dumps(element, sort_keys=True)
