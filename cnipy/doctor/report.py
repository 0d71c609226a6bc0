# SPDX-License-Identifier: Apache-2.0
"""What the doctor says: findings, and what could not be looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cni_common.frame.log import remarks
from cni_common.spec.errors import CNIError
from cni_common.spec.values import NamedTuple
from cnipy.doctor.examination import Examination
from cnipy.doctor.findings import REGISTER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cnipy.doctor.finding import Finding
    from cnipy.runtime import Runtime
    from cnipy.suite import Suite


class Report(NamedTuple):
    """What was found, what nobody could look at, each with the reason, and at what."""

    findings: list[Finding]
    unclear: list[str]
    looked_at: str

    @property
    def status(self) -> int:
        """The exit status: 0 for a healthy node that could be looked at."""
        return int(bool(self.findings or self.unclear))

    def lines(self) -> Iterator[str]:
        """Yield the findings as text."""
        if not self.status:
            yield f"nothing is found to be broken of {self.looked_at}"
        for each in self.findings:
            whose = f"{each.network}: " if each.network else ""
            yield f"{each.name}: {whose}{each.what}"
            yield f"  cause: {each.cause}"
            for number, step in enumerate(each.cure):
                yield f"  {'       ' if number else 'cure:  '}{step}"

    def document(self) -> list[dict[str, Any]]:
        """Return the findings as JSON values."""
        return [each.document() for each in self.findings]


def examine(
    suite: Suite, runtime: Runtime, directory: str, network: str | None
) -> Report:
    """Return what is wrong with the node, or with one network; nothing is changed.

    Raises Code.INVALID_CONFIG for a network that nobody knows of.
    """
    findings: list[Finding] = []
    unclear: list[str] = []
    with Examination(suite, runtime, directory, network) as node:
        _ = node.networks
        for find in REGISTER:
            try:
                findings += [each for each in find(node) if each not in findings]
            except (CNIError, OSError) as error:
                unclear.append(str(error))
        unclear += map(str, node.doubts.raised)
        looked_at = _looked_at(node)
    unclear += remarks()
    return Report(findings, list(dict.fromkeys(unclear)), looked_at)


def _looked_at(node: Examination) -> str:
    """Return what the findings are about, as a text."""
    networks = " ".join(sorted(each.name for each in node.networks)) or "none"
    number = len({each.item.attachment for each in node.held})
    return f"the node, networks ({networks}) and attachments ({number})"
