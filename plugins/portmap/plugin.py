# SPDX-License-Identifier: Apache-2.0
"""portmap: what arrives at a port of the host reaches the container."""

from __future__ import annotations

from cni_common.attachment import chained
from cni_common.attachment.chained import Scheme
from cni_common.kernel import nft
from cni_common.parts.published_ports import PublishedPorts, missing
from cni_common.previous import required
from cni_common.published import ledger, listening, rules
from cni_common.spec.errors import CNIError, Code
from plugins import REGISTER
from plugins.portmap import targets
from plugins.portmap.conf import PortmapConf

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from cni_common.attachment.chained import Parts
    from cni_common.attachment.node import Node
    from cni_common.naming import Attachment
    from cni_common.published.claims import Mapping, Target
    from cni_common.spec.request import Request
    from cni_common.spec.result import Result

NAME = ledger.NAME


def wished(request: Request, conf: PortmapConf) -> PortmapConf | None:
    """Return what is asked for, if there are ports; raises Code.INVALID_CONFIG."""
    conf.check()
    if request.command == "ADD":
        for words in conf.without_effect():
            request.log.warning(words)
    return conf if conf.mappings else None


def facts(
    node: Node, request: Request, conf: PortmapConf, made: Parts
) -> tuple[Target, ...]:
    """Return where ports lead, a target for each family in which one does.

    A container keeps the conditions of its ADD for CHECK. Raises
    Code.UNSUPPORTED_FIELD or Code.INVALID_CONFIG for wrong conditions,
    Code.INVALID_CONFIG where no address can be published.
    """
    is_check = request.command == "CHECK"
    known = [part for part in made if isinstance(part, PublishedPorts)]
    if is_check:
        kept = (target for part in known for target in part.targets)
        conditions = {target.family: target.conditions for target in kept}
    else:
        conditions = conf.conditions()
    every = targets.of_result(request, required(request), conditions)
    families: set[int] = set()
    for mapping in conf.mappings:
        if mapping.targets_of(every):
            families.update(mapping.families)
        else:
            _warn_of_missing_family(request, mapping, every)
    found = tuple(target for target in every if target.family in families)
    if is_check and found and not known:
        raise CNIError(Code.INTERNAL, missing(f"record of {node.attachment}").text)
    if not is_check:
        _check_conditions(request.network, found)
    return found


def plan(attachment: Attachment, conf: PortmapConf, known: tuple[Target, ...]) -> Parts:
    """Return what publishes the ports that lead anywhere."""
    del attachment
    mappings = tuple(m for m in conf.mappings if m.targets_of(known))
    if not mappings:
        return ()
    ports = PublishedPorts(
        mappings=mappings,
        targets=known,
        snat=conf.snat,
        masq_all=conf.masq_all,
        counters=conf.counters,
        excluded=tuple(conf.exclude_interfaces),
    )
    return (ports,)


def told(node: Node, conf: PortmapConf, parts: Parts, result: Result) -> Result:
    """Return the result as it was; who loses a port to the container is told."""
    del conf
    for part in parts:
        assert isinstance(part, PublishedPorts)
        for loser in listening.losers(part.claims(node)):
            if node.request is not None:
                node.request.log.warning_aloud(str(loser))
    return result


def ready(request: Request, conf: PortmapConf) -> None:
    """Raise unless ADD could write its rules."""
    del request
    conf.check()
    nft.check_writable()


def _warn_of_missing_family(
    request: Request, mapping: Mapping, found: Collection[Target]
) -> None:
    """Warn that a port leads nowhere: aloud without any address, for that is wrong."""
    family = f"an IPv{mapping.families[0]}" if mapping.host_ip else "an"
    warn = request.log.warning if found else request.log.warning_aloud
    warn(f"{mapping.port} is not published: container has not {family} address")


def _check_conditions(network: str, found: Iterable[Target]) -> None:
    for target in found:
        if target.conditions:
            scope = rules.scope_of(network, target)
            if not ledger.is_declared(scope):
                rules.check_conditions(scope, f"conditionsV{scope.family}")


PLUGIN = chained.plugin(
    Scheme(
        name=NAME,
        wished=wished,
        facts=facts,
        plan=plan,
        told=told,
        ready=ready,
        kinds=REGISTER[NAME]["kinds"],
        refusal="must be called as chained plugin",
        idle=ledger.restore,
    ),
    PortmapConf,
)
