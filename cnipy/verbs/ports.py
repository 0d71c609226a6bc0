# SPDX-License-Identifier: Apache-2.0
"""`cnipy ports`: which port of the host leads where."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cni_common import naming
from cni_common.naming import Attachment
from cnipy.paper import columns
from cnipy.verb import Answer, Verb

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Iterator, Mapping

    from cni_common.published.claims import Claim
    from cni_common.published.ledger import Claims
    from cni_common.published.listening import Loser
    from cnipy.context import Context
    from cnipy.paper import Paper
    from cnipy.ruleset import Rules


class Ports(Answer):
    """Claims on ports, the sockets of the host that they lead past, runtimes' names."""

    def __init__(
        self,
        claims: Claims,
        losers: Iterable[Loser],
        called: Mapping[str, tuple[str, ...]],
        rules: Rules | None,
        gap: str = "",
    ) -> None:
        """`gap` is what the table misses that all ports rely on."""
        self.rows = [_row(port, c, called) for port in claims for c in claims[port]]
        self.rows.sort(key=lambda row: (row["hostPort"], row["protocol"]))
        self.losers, self._rules, self._gap = list(losers), rules, gap

    def lines(self, paper: Paper) -> Iterator[str]:
        """Yield a line for each port, and below it what is wrong there."""
        if not self.rows:
            yield "no port is published"
            return
        cells = [("PORT", "AT", "LEADS TO", "NETWORK", "CONTAINER")]
        cells += [_cells(row) for row in self.rows]
        head, *lines = columns(cells)
        yield paper.tint(paper.cut(head), "bold")
        for row, line in zip(self.rows, lines, strict=True):
            yield paper.cut(line)
            for fault in self.faults(row):
                yield paper.tint(paper.cut(f"  ! {fault}"), "red")

    def faults(self, row: Mapping[str, Any]) -> Iterator[str]:
        """Yield what is wrong about a port."""
        if not row["lives"]:
            yield "the container is gone; `cnipy gc` frees the port"
        elif self._rules is not None and not _leads(row, self._rules):
            yield "it leads nowhere: its rules are missing; `cnipy repair` helps"
            return
        elif self._gap:
            yield f"what all ports need is missing: {self._gap}; `cnipy repair` helps"
        for loser in self.losers:
            if loser.port == (row["protocol"], row["hostPort"]):
                where = f"listens at {loser.address}"
                yield f"{loser.who} {where}, and gets nothing that comes for the port"

    def document(self) -> list[dict[str, Any]]:
        """Return a list of the ports."""
        return [row | {"faults": list(self.faults(row))} for row in self.rows]


def _leads(row: Mapping[str, Any], rules: Rules) -> bool:
    """Tell whether the kernel has an element for a port."""
    at = Attachment(row["network"], row["containerID"], row["ifname"])
    wanted = {row["protocol"], str(row["hostPort"])}
    entries = rules.by_owner.get(naming.comment(at), ())
    return any(each.kind == "map" and wanted <= {*each.about} for each in entries)


def _row(port: Any, claim: Claim, called: Mapping[str, Any]) -> dict[str, Any]:
    at = claim.attachment
    targets = [target.address for target in claim.targets]
    return {
        "protocol": port.protocol,
        "hostPort": port.number,
        "hostIP": claim.host_ip,
        "containerPort": claim.container_port,
        "addresses": targets,
        "network": at.network,
        "containerID": at.container_id,
        "ifname": at.ifname,
        "called": list(called.get(at.container_id, ())),
        "lives": claim.lives(),
    }


def _cells(row: Mapping[str, Any]) -> tuple[str, str, str, str, str]:
    to = ", ".join(_socket(each, row["containerPort"]) for each in row["addresses"])
    called = f" ({row['called'][-1]})" if row["called"] else ""
    return (
        f"{row['protocol']} {row['hostPort']}",
        row["hostIP"] or "any",
        to,
        row["network"],
        f"{row['containerID']}{called}",
    )


def _socket(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _gap(claims: Claims) -> str:
    """Return the first rule that all claims rely on and the kernel lacks, if any."""
    from cni_common.published import rules  # noqa: PLC0415 - for the work alone

    every = [claim for held in claims.values() for claim in held]
    table = rules.table(sorted(rules.scopes(every)))
    return table.missing({}) if every else ""


def _run(context: Context, options: argparse.Namespace) -> Answer:
    from cni_common.frame.rollback import Gather  # noqa: PLC0415 - for the work alone
    from cni_common.published import ledger, listening  # noqa: PLC0415 - the same
    from cnipy import on_record, recorded, ruleset  # noqa: PLC0415 - the same
    from cnipy.containers import Containers  # noqa: PLC0415 - the same

    del options
    errors = Gather()
    claims = ledger.load_all(errors)
    losers = errors.attempt(lambda: list(listening.losers(claims))) or []
    rules = errors.attempt(ruleset.listed) if claims else None
    gap = errors.attempt(_gap, claims) or ""
    called = Containers(context, recorded.recorded(context.suite, errors).values())
    answer = Ports(claims, losers, called.names(), rules, gap)
    on_record.tell_doubts(errors, context.tell)
    return answer


VERB = Verb(
    sentence="print which port of the host leads to which container, and who listens "
    "there besides",
    run=_run,
    changes=False,
)
