# SPDX-License-Identifier: Apache-2.0
"""The backend iptables: rules in the filter table, in chains called as the reference's.

For hosts that drop what they forward unless a rule of that table accepts it.
"""

from __future__ import annotations

from cni_common import naming
from cni_common.rollback import Gather
from cni_common.spec.errors import CNIError, Code
from plugins.firewall import holders
from plugins.firewall.filter_table import FilterTable, line

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Collection

    from cni_common.naming import Attachment
    from plugins.firewall.protection import Protection

FORWARD, ADMITTED = "FORWARD", "CNI-FORWARD"
STAGE_1, STAGE_2 = "CNI-ISOLATION-STAGE-1", "CNI-ISOLATION-STAGE-2"
Rule = tuple[str, ...]


def _said(text: str) -> Rule:
    return ("-m", "comment", "--comment", text)


# The comments of the first two are the reference's: both find each other's rules.
ENTRY: Rule = (FORWARD, *_said("CNI firewall plugin rules"), "-j", ADMITTED)
ISOLATION: Rule = (
    *(ADMITTED, "-m", "conntrack", "!", "--ctstate", "DNAT"),
    *_said("all but published ports"),
    *("-j", STAGE_1),
)


def consulted(admin_chain: str) -> Rule:
    """Return the rule that consults the administrator's chain."""
    return (ADMITTED, *_said("CNI firewall plugin admin overrides"), "-j", admin_chain)


def admitting(had: Protection, attachment: Attachment, version: int) -> list[Rule]:
    """Return the rules that let an attachment's addresses of one version through.

    Published ports (DNAT) among them: the reference leaves those to the host's policy.
    """
    owner = _said(naming.comment(attachment))
    states = ("-m", "conntrack", "--ctstate", "RELATED,ESTABLISHED,DNAT")
    found: list[Rule] = []
    for address in had.addresses:
        if address.version == version:
            whole = f"{address}/{address.max_prefixlen}"
            found.append((ADMITTED, "-d", whole, *states, *owner, "-j", "ACCEPT"))
            found.append((ADMITTED, "-s", whole, *owner, "-j", "ACCEPT"))
    return found


def isolating(entry: str) -> list[Rule]:
    """Return the rules that an entry "guarded LINK" or "isolated LINK" consists of."""
    kind, _, link = entry.partition(" ")
    # The comment tells them from the reference's, which may have guarded the same link.
    said = _said(f"ingressPolicy: {kind}")
    if kind == "isolated":
        return [(STAGE_1, "-i", link, "-o", link, *said, "-j", "DROP")]
    return [
        (STAGE_1, "-i", link, "!", "-o", link, *said, "-j", STAGE_2),
        (STAGE_2, "-o", link, *said, "-j", "DROP"),
    ]


def admit(wanted: Protection, attachment: Attachment, *, again: bool) -> None:
    """Have the rules of `wanted`, each once, in every filter table that it names.

    Those of the attachment alone are looked for only if it is attached `again`.
    """
    admit_all([(attachment, wanted)], again=again)


def admit_all(
    admitted: Collection[tuple[Attachment, Protection]], *, again: bool
) -> None:
    """Have the rules of several attachments, by as many commands as for one."""
    for name in sorted({name for _, wanted in admitted for name in wanted.filters}):
        table = FilterTable.open(name)
        own: list[Rule] = []
        shared: dict[Rule, None] = {}
        for attachment, wanted in admitted:
            if name in wanted.filters:
                entries = _entries(wanted)
                holders.add(name, [*entries, _admin(wanted)], attachment)
                own += admitting(wanted, attachment, table.version)
                rules = (rule for entry in entries for rule in isolating(entry))
                shared |= dict.fromkeys(rules)
        _ensure_chains(table, [wanted for _, wanted in admitted])
        if again:
            own = [rule for rule in own if not table.has(rule)]
        table.restore(
            [line("-I", rule) for rule in shared if not table.has(rule)]
            + [line("-A", rule) for rule in own]
        )


def withdraw(had: Protection, attachment: Attachment) -> None:
    """Have no rule that nobody but `attachment` needed.

    With the last one the chains go, the administrator's only if it is empty.
    """
    with Gather() as each:
        for name in had.filters:
            each(_withdraw, name, had, attachment)


def check(had: Protection, attachment: Attachment) -> None:
    """Raise code 999 naming the first rule that is missing."""
    for name in had.filters:
        table = FilterTable.open(name)
        shared = [rule for entry in _entries(had) for rule in isolating(entry)]
        expected = [ENTRY, consulted(had.admin_chain)]
        expected += [ISOLATION, *shared] if shared else []
        expected += admitting(had, attachment, table.version)
        for rule in expected:
            if not table.has(rule):
                missing = f"rule {line('-A', rule)} of filter table {name}"
                raise CNIError(Code.INTERNAL, f"check firewall: missing {missing}")


def _ensure_chains(table: FilterTable, admitted: Collection[Protection]) -> None:
    """Have the chains and the rules that lead to them; the administrator's is first.

    Where one of those rules is missing, somebody may have flushed those of others too.
    """
    chains = dict.fromkeys(wanted.admin_chain for wanted in admitted)
    guards = any(wanted.guarded for wanted in admitted)
    if not table.has(ENTRY):
        holders.unsettle([table.variant])
        table.add_chain(ADMITTED)
        _ensure_isolation(table, [])
        table.insert(ENTRY)
    for chain in chains:
        if not table.has(consulted(chain)):
            holders.unsettle([table.variant])
            table.add_chain(chain)
            table.insert(consulted(chain))
    if guards:
        _ensure_isolation(table, chains)


def _ensure_isolation(table: FilterTable, admin_chains: Collection[str]) -> None:
    """Have isolation consulted, behind the administrator's chains."""
    if not table.has(ISOLATION):
        for chain in (STAGE_1, STAGE_2):
            table.add_chain(chain)
        before = sum(table.has(consulted(chain)) for chain in admin_chains)
        table.insert(ISOLATION, 1 + before)


def _withdraw(name: str, had: Protection, attachment: Attachment) -> None:
    entries = (*_entries(had), _admin(had))
    table = FilterTable.find(name)
    if table is not None:
        unneeded = holders.unneeded(name, entries, attachment)
        own = admitting(had, attachment, table.version)
        own += [rule for entry in _entries(had, unneeded) for rule in isolating(entry)]
        rules: list[Rule] = []
        chains: list[str] = []
        if _admin(had) in unneeded:
            rules.append(consulted(had.admin_chain))
            chains.append(had.admin_chain)
        if holders.is_last(name, unneeded):
            rules += [ENTRY, ISOLATION]
            chains += [ADMITTED, STAGE_1, STAGE_2]
        _remove(table, own, rules, chains)
    holders.delete(name, entries, attachment)


def _remove(
    table: FilterTable, own: list[Rule], rules: list[Rule], chains: list[str]
) -> None:
    """Delete the rules `own`, and the shared `rules` and `chains` if nobody needs them.

    A chain that is not empty, as an administrator's or one that the reference uses
    too, is refused by the kernel; what is shared then stays as a whole.
    """
    if _restored(table, [*own, *rules], chains):
        return
    for rule in own:
        table.delete(rule)
    present = [rule for rule in rules if table.has(rule)]
    _restored(table, present, [chain for chain in chains if table.has_chain(chain)])


def _restored(table: FilterTable, rules: list[Rule], chains: list[str]) -> bool:
    lines = [line("-D", rule) for rule in rules]
    try:
        table.restore([*lines, *(f"-X {chain}" for chain in chains)])
    except CNIError:
        return False
    return True


def _entries(had: Protection, among: Collection[str] | None = None) -> list[str]:
    """Return the entries of shared chains; with `among` only those in it."""
    every = [f"guarded {link}" for link in had.guarded]
    every += [f"isolated {link}" for link in had.isolated]
    return [entry for entry in every if among is None or entry in among]


def _admin(had: Protection) -> str:
    return f"admin {had.admin_chain}"
