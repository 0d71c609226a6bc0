# SPDX-License-Identifier: Apache-2.0
"""Masquerading of subnets: table `inet cnipy_masquerade`, one rule a subnet.

What leaves a subnet for anywhere else, multicast apart, gets the address of the link
by which it leaves. It is a property of the network: the first attachment of a subnet
brings the rule, the last one takes it away. Who uses a subnet is written down in
/run/cni/cnipy/masquerade/<subnet>/<attachment>, what it exempts in `exemptions`.
"""

from __future__ import annotations

import ipaddress
from types import MappingProxyType

from cni_common import attachments, exemptions, naming, own_tables, shapes, state
from cni_common.attachment import shared
from cni_common.kernel import nft, nft_questions
from cni_common.kernel.own_table import OwnTable
from cni_common.spec.digests import sha256_hex
from cni_common.spec.errors import CNIError, Code
from cni_common.spec.values import asdict

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from contextlib import AbstractContextManager

    from cni_common.naming import Attachment
    from cni_common.shapes import Table
    from cni_common.spec.fields import IPNetwork

TABLE = "inet cnipy_masquerade"
_ROOM = "masquerade"
_USER: Table = dict.fromkeys(
    ("network", "container_id", "ifname"), (shapes.text, shapes.REQUIRED)
)
BACKENDS = ("", "nftables", "iptables")
_NOBODY: Mapping[IPNetwork, Collection[str]] = MappingProxyType({})

_OPENING = f"""\
table {TABLE} {{
	chain postrouting {{
		type nat hook postrouting priority 100; policy accept;
		ip daddr 224.0.0.0/4 return
		ip6 daddr ff00::/8 return
"""


def validate_backend(name: str) -> None:
    """Raise Code.INVALID_CONFIG unless the reference has an ipMasqBackend of this name.

    Whichever is asked for, the rules are those of nftables.
    """
    if name not in BACKENDS:
        msg = f'parse ipMasqBackend: unknown ipmasq backend "{name}"'
        raise CNIError(Code.INVALID_CONFIG, msg)


def _lock() -> AbstractContextManager[None]:
    """Hold the lock; who uses what is on record again if that was lost."""
    return own_tables.lock(_ROOM, [TABLE], _recall)


def _recall() -> None:
    """Record each attachment that lives as a user of each subnet that has a rule.

    The rules do not say who needs them. Too many users keep a rule too long, and too
    few would take it from the living. What is known of a user stays.
    """
    from cni_common.kernel import links  # noqa: PLC0415 - only after a loss
    from cni_common.kernel.netlink import Netlink  # noqa: PLC0415 - likewise

    with Netlink() as host:
        aliases = [link.alias for link in links.of_kind(host, "veth")]
    owners = [naming.of_alias(alias) for alias in aliases if naming.is_ours(alias)]
    for rule in nft_questions.rules(TABLE):
        told = rule.comment.split()
        if told[:1] == ["subnet"]:
            subnet = ipaddress.ip_network(told[1])
            # Behind "except"; of a list that is too long there is but a digest.
            exempted = [ipaddress.ip_network(text) for text in told[3:] if "/" in text]
            for owner in owners:
                if not shared.holds(_thing(subnet), owner.digest()):
                    _register(owner, subnet)
                exemptions.add(subnet, exempted, owner.digest())
    _apply(_in_use())


def ensure(
    attachment: Attachment,
    subnets: Iterable[IPNetwork],
    exempt: Collection[IPNetwork] = (),
) -> None:
    """Ensure that what leaves `subnets` is masqueraded, on behalf of `attachment`.

    `exempt` is reached with the true source. Afterwards every subnet in use has its
    rule, even if somebody flushed the ruleset since. Raises Code.INTERNAL and registers
    nothing when nft refuses; what the kernel may have taken nevertheless is for
    `release` to take back.
    """
    wanted = set(subnets)
    with _lock():
        user = attachment.digest()
        added = [s for s in wanted if not shared.holds(_thing(s), user)]
        for subnet in added:
            _register(attachment, subnet)
            exemptions.add(subnet, exempt, user)
        in_use = _in_use()
        try:
            if in_use and table(in_use).missing({}):
                _apply(in_use)
        except CNIError as error:
            if nft.nothing_done(error):
                for subnet in added:
                    _unregister(user, subnet)
            raise


def release(attachment: Attachment, subnets: Iterable[IPNetwork] | None = None) -> None:
    """Drop what `attachment` uses; rules that nobody uses any more are gone then.

    Without `subnets` they are looked for.
    """
    with _lock():
        candidates = _in_use() if subnets is None else list(subnets)
        if any(map(_is_lost, candidates)):
            _recall()
        members = {attachment.digest(), naming.recalled(attachment).digest()}
        _drop([(subnet, member) for subnet in candidates for member in members])


def collect(network: str, valid: Collection[tuple[str, str]]) -> None:
    """Drop what attachments of `network` use that are none of the `valid` ones."""
    kept = attachments.identities(network, valid)
    with _lock():
        stale = []
        for subnet in _in_use():
            for member in shared.users(_thing(subnet)):
                user = state.read_table(state.path(_thing(subnet)), member, _USER)
                if user is None or user["network"] != network:
                    continue
                if (user["container_id"], user["ifname"]) not in kept:
                    stale.append((subnet, member))
        _drop(stale)


def check(subnets: Iterable[IPNetwork], exempt: Collection[IPNetwork] = ()) -> None:
    """Raise Code.INTERNAL unless `subnets` are masqueraded, towards `exempt` not."""
    present = {rule.comment for rule in nft_questions.rules(TABLE)}
    for subnet in subnets:
        exempted = exemptions.of_subnet(subnet)
        if _key(subnet, exempted) not in present:
            msg = f"check masquerade of {subnet}: its rule is missing"
            raise CNIError(Code.INTERNAL, msg, f"in nft table {TABLE}")
        for network in exemptions.of_family(exempt, subnet):
            if network not in exempted:
                msg = f"check masquerade of {subnet}: {network} is not exempted"
                raise CNIError(Code.INTERNAL, msg)


def table(
    subnets: Iterable[IPNetwork], without: Mapping[IPNetwork, Collection[str]] = _NOBODY
) -> OwnTable:
    """Return the table by which exactly `subnets` are masqueraded.

    What only those in `without` exempted, by subnet, is exempted no longer.
    """
    lines = []
    for subnet in subnets:
        exempted = exemptions.of_subnet(subnet, without.get(subnet, ()))
        comment = nft.quote(_key(subnet, exempted))
        lines.append(f"\t\t{_statements(subnet, exempted)} comment {comment}\n")
    return OwnTable(f"{_OPENING}{''.join(lines)}\t}}\n}}\n")


def _statements(subnet: IPNetwork, exempted: Iterable[IPNetwork]) -> str:
    """Return match and verdict of a subnet's rule."""
    ip = "ip" if subnet.version == 4 else "ip6"  # noqa: PLR2004 - the family's number
    # Of one version; that is what mypy cannot know.
    kept = list(ipaddress.collapse_addresses([subnet, *exempted]))  # type: ignore[type-var]
    if not kept[0].prefixlen:
        return f"{ip} saddr {subnet} continue"  # the family is not masqueraded at all
    targets = ", ".join(map(str, kept))
    some = targets if len(kept) == 1 else f"{{ {targets} }}"
    return f"{ip} saddr {subnet} {ip} daddr != {some} masquerade"


def _drop(uses: Collection[tuple[IPNetwork, str]]) -> None:
    """Take the rules of what is unused without `uses`, and only then forget them.

    In this order, because a call that failed or was killed is repeated.
    """
    leaving: dict[IPNetwork, set[str]] = {}
    for subnet, member in uses:
        leaving.setdefault(subnet, set()).add(member)
    unused = {s for s, m in leaving.items() if shared.is_last(_thing(s), m)}
    changed = [
        subnet
        for subnet, members in leaving.items()
        if exemptions.of_subnet(subnet) != exemptions.of_subnet(subnet, members)
    ]
    if unused or changed:
        _apply([subnet for subnet in _in_use() if subnet not in unused], leaving)
    for subnet, member in uses:
        _unregister(member, subnet)


def _apply(
    subnets: Collection[IPNetwork],
    without: Mapping[IPNetwork, Collection[str]] = _NOBODY,
) -> None:
    if subnets:
        nft.run(table(subnets, without).rebuilt({}))
        own_tables.remember(TABLE)
    else:
        own_tables.remove(TABLE)


def _is_lost(subnet: IPNetwork) -> bool:
    """Tell whether it has a rule, and nobody on record who uses it."""
    if shared.is_used(_thing(subnet)):
        return False
    told = (rule.comment.split() for rule in nft_questions.rules(TABLE))
    return ["subnet", str(subnet)] in [words[:2] for words in told]


def _register(attachment: Attachment, subnet: IPNetwork) -> None:
    shared.hold(_thing(subnet), attachment.digest(), asdict(attachment))


def _unregister(member: str, subnet: IPNetwork) -> None:
    exemptions.delete(subnet, member)
    shared.let_go(_thing(subnet), member)


def _in_use() -> list[IPNetwork]:
    return [s for s in exemptions.networks_in(_ROOM) if shared.is_used(_thing(s))]


def _thing(subnet: IPNetwork) -> str:
    return f"{_ROOM}/{exemptions.name_of(subnet)}"


def _key(subnet: IPNetwork, exempted: Iterable[IPNetwork]) -> str:
    """Return the comment by which a subnet's rule with its exemptions is known."""
    key, listed = f"subnet {subnet}", " ".join(map(str, exempted))
    if not listed:
        return key
    whole = f"{key} except {listed}"
    if len(whole) < naming.COMMENT_MAX:
        return whole
    return f"{key} except {sha256_hex(listed)}"
