# SPDX-License-Identifier: Apache-2.0
"""Measurements as those read them who they are for: Prometheus' own parser."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def samples(text: str) -> Samples:
    """Return the value of each sample by name and labels; each is there once."""
    found: Samples = {}
    for family in text_string_to_metric_families(text):
        assert family.documentation, family.name
        assert family.type in {"counter", "gauge", "histogram"}, family.name
        for each in family.samples:
            key = (each.name, frozenset(each.labels.items()))
            assert key not in found, key
            found[key] = each.value
    return found


def value(text: str, name: str, **labels: str) -> float:
    """Return the sum of the samples of that name that have the labels."""
    wanted = labels.items()
    return sum(
        number
        for (each, told), number in samples(text).items()
        if each == name and wanted <= told
    )
