# SPDX-License-Identifier: Apache-2.0
"""The backend iptables: rules in the filter table, in chains called as the reference's.

For hosts that drop what they forward unless a rule of that table accepts it.
"""

from __future__ import annotations

from cni_common import naming
from cni_common.allowed import rules as entries
from cni_common.allowed import users
from cni_common.allowed.filter_table import FilterTable, line
from cni_common.spec.errors import CNIError, Code

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from cni_common.allowed.users import Pair
    from cni_common.naming import Attachment
    from cni_common.parts.allowed import Allowed

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


_ISOLATES = "ingressPolicy: "


def consulted(admin_chain: str) -> Rule:
    """Return the rule that consults the administrator's chain."""
    return (ADMITTED, *_said("CNI firewall plugin admin overrides"), "-j", admin_chain)


def admitting(part: Allowed, attachment: Attachment, version: int) -> list[Rule]:
    """Return the rules that let an attachment's addresses of one version through.

    Published ports (DNAT) among them: the reference leaves those to the host's policy;
    and the network's containers on other nodes, whom nftables keeps apart from others.
    """
    owner = _said(naming.comment(attachment))
    states = ("-m", "conntrack", "--ctstate", "RELATED,ESTABLISHED,DNAT")
    found: list[Rule] = []
    for address in part.addresses:
        if address.version == version:
            whole = f"{address}/{address.max_prefixlen}"
            found.append((ADMITTED, "-d", whole, *states, *owner, "-j", "ACCEPT"))
            found.append((ADMITTED, "-s", whole, *owner, "-j", "ACCEPT"))
            by = ("-i", part.overlay) if part.overlay else ()
            for pool in part.pools:
                if pool.version == version:
                    between = ("-s", str(pool), "-d", whole, *by)
                    found.append((ADMITTED, *between, *owner, "-j", "ACCEPT"))
    return found


def isolating(entry: str) -> list[Rule]:
    """Return the rules that an entry "guarded LINK" or "isolated LINK" consists of."""
    kind, _, link = entry.partition(" ")
    # The comment tells them from the reference's, which may have guarded the same link.
    said = _said(f"{_ISOLATES}{kind}")
    if kind == "isolated":
        return [(STAGE_1, "-i", link, "-o", link, *said, "-j", "DROP")]
    return [
        (STAGE_1, "-i", link, "!", "-o", link, *said, "-j", STAGE_2),
        (STAGE_2, "-o", link, *said, "-j", "DROP"),
    ]


def ensure(filters: Iterable[str], allowed: Collection[Pair], *, again: bool) -> None:
    """Ensure in each of `filters` the rules of several attachments, each once.

    By as many commands as for one. Those of an attachment alone are looked for only if
    it is allowed `again`.
    """
    for name in filters:
        table = FilterTable.open(name)
        own: list[Rule] = []
        shared: dict[Rule, None] = {}
        for attachment, part in allowed:
            users.add(name, entries.entries(name, part), attachment)
            own += admitting(part, attachment, table.version)
            isolation = (isolating(entry) for entry in entries.apart(part))
            shared |= dict.fromkeys(rule for rules in isolation for rule in rules)
        _ensure_chains(table, [part for _, part in allowed])
        if again:
            own = [rule for rule in own if not table.has(rule)]
        table.restore(
            [line("-I", rule) for rule in shared if not table.has(rule)]
            + [line("-A", rule) for rule in own]
        )


def remove(name: str, part: Allowed, attachment: Attachment) -> None:
    """Remove the rules of a filter table that nobody but `attachment` needs.

    With the last one the chains go, the administrator's only if it is empty.
    """
    table, held = FilterTable.find(name), users.held(name, part, attachment)
    if table is not None and held:
        unneeded = users.unneeded(name, held, attachment)
        own = admitting(part, attachment, table.version)
        kept_apart = [entry for entry in unneeded if entry in entries.apart(part)]
        own += [rule for entry in kept_apart for rule in isolating(entry)]
        rules: list[Rule] = []
        chains: list[str] = []
        if entries.admin(part) in unneeded:
            rules.append(consulted(part.admin_chain))
            chains.append(part.admin_chain)
        if users.is_last(name, unneeded):
            rules += [ENTRY, ISOLATION]
            chains += [ADMITTED, STAGE_1, STAGE_2]
        _remove(table, own, rules, chains)
    users.delete(name, entries.entries(name, part), attachment)


def require(name: str, part: Allowed, attachment: Attachment) -> None:
    """Raise Code.INTERNAL naming the first rule that a filter table lacks."""
    table = FilterTable.open(name)
    shared = [rule for entry in entries.apart(part) for rule in isolating(entry)]
    expected = [ENTRY, consulted(part.admin_chain)]
    expected += [ISOLATION, *shared] if shared else []
    expected += admitting(part, attachment, table.version)
    for rule in expected:
        if not table.has(rule):
            missing = f"rule {line('-A', rule)} of filter table {name}"
            raise CNIError(Code.INTERNAL, f"check firewall: missing {missing}")


def is_in_use(name: str) -> bool:
    """Tell whether a filter table has our chain; makes none."""
    from cni_common.kernel import foreign_rules  # noqa: PLC0415 - after a loss alone
    from cni_common.kernel.iptables import FAMILIES, has_legacy  # noqa: PLC0415 - ditto

    variant, version = name[:-1], int(name[-1])
    if variant == "nft":
        if foreign_rules.rules(FAMILIES[version], "filter", ADMITTED) is None:
            return False
    elif not has_legacy(version, "filter"):
        return False
    table = FilterTable.find(name)
    return table is not None and table.has_chain(ADMITTED)


def owners(name: str) -> set[str]:
    """Return the comments of the rules that let through in a filter table."""
    found = FilterTable.open(name).rules(ADMITTED)
    return {_comment(rule) for rule in found if rule[-1] == "ACCEPT"}


def remove_owned(name: str, attachment: Attachment, *, last: bool) -> None:
    """Remove from a filter table what says that it is the attachment's.

    With the `last` one goes what all share, unless somebody else put rules there.
    """
    table, owner = FilterTable.open(name), naming.comment(attachment)
    found = table.rules(ADMITTED)
    own = [rule for rule in found if _comment(rule) == owner]
    shared: list[Rule] = []
    chains: list[str] = []
    if last and (own or ISOLATION in found):
        for chain in (STAGE_1, STAGE_2):
            own += [r for r in table.rules(chain) if _comment(r).startswith(_ISOLATES)]
        consulting = [rule for rule in found if rule == consulted(rule[-1])]
        shared = [ENTRY, *(rule for rule in found if rule == ISOLATION), *consulting]
        chains = [ADMITTED, STAGE_1, STAGE_2, *(rule[-1] for rule in consulting)]
    if own or shared:
        _remove(table, own, shared, chains)


def _comment(rule: Rule) -> str:
    return rule[rule.index("--comment") + 1] if "--comment" in rule else ""


def _ensure_chains(table: FilterTable, allowed: Collection[Allowed]) -> None:
    """Ensure the chains and the rules that lead there; the administrator's is first.

    Where one of those rules is missing, somebody may have flushed those of others too.
    """
    chains = dict.fromkeys(part.admin_chain for part in allowed)
    guards = any(part.guarded for part in allowed)
    if not table.has(ENTRY):
        users.unsettle([table.variant])
        table.add_chain(ADMITTED)
        _ensure_isolation(table, [])
        table.insert(ENTRY)
    for chain in chains:
        if not table.has(consulted(chain)):
            users.unsettle([table.variant])
            table.add_chain(chain)
            table.insert(consulted(chain))
    if guards:
        _ensure_isolation(table, chains)


def _ensure_isolation(table: FilterTable, admin_chains: Collection[str]) -> None:
    """Ensure that isolation is consulted, behind the administrator's chains."""
    if not table.has(ISOLATION):
        for chain in (STAGE_1, STAGE_2):
            table.add_chain(chain)
        before = sum(table.has(consulted(chain)) for chain in admin_chains)
        table.insert(ISOLATION, 1 + before)


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
