# SPDX-License-Identifier: Apache-2.0
"""What tuning sets, by name: as wanted, as it was before, as it is now."""

from __future__ import annotations

from cni_common.spec.values import dataclass, field
from plugins.tuning.names import is_same

# Settings of a link, by the keys of the configuration, which the backup shares.
LINK_KEYS = ("mac", "mtu", "txQLen", "promisc", "allmulti")
Setting = str | int | bool


@dataclass(frozen=True)
class Values:
    """Settings of the link by key, kernel parameters by their path under /proc/sys."""

    link: dict[str, Setting] = field(default_factory=dict)
    sysctl: dict[str, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.link or self.sysctl)

    def over(self, other: Values) -> Values:
        """Return these values, and those of `other` where there is none."""
        return Values(other.link | self.link, other.sysctl | self.sysctl)

    def of(self, names: Values) -> Values:
        """Return those whose name is in `names`."""
        link = {key: value for key, value in self.link.items() if key in names.link}
        sysctl = {k: value for k, value in self.sysctl.items() if k in names.sysctl}
        return Values(link, sysctl)

    def unlike(self, now: Values) -> Values:
        """Return those that are not so `now`."""
        link = {k: value for k, value in self.link.items() if now.link.get(k) != value}
        sysctl = {
            name: value
            for name, value in self.sysctl.items()
            if not is_same(now.sysctl.get(name), value)
        }
        return Values(link, sysctl)

    def to_set(self, now: Values) -> Values:
        """Return what has to be set to get from `now` to these values.

        Writing one parameter may change another one (conf/all), so that all of them
        count if any has to be written.
        """
        changed = self.unlike(now)
        return Values(changed.link, self.sysctl if changed.sysctl else {})
