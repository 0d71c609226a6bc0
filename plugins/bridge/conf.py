# SPDX-License-Identifier: Apache-2.0
"""The keys of the bridge plugin."""

from __future__ import annotations

from pydantic import Field

from cni_common import masquerade, veth_pair
from cni_common.spec.environment import ALTNAME_MAX, IFNAME_MAX, validate_ifname
from cni_common.spec.errors import CNIError, invalid_key
from cni_common.spec.fields import Mtu, Subnet  # noqa: TC001 - pydantic reads them
from cni_common.spec.model import GoModel
from cni_common.spec.netconf import NetConf
from cni_common.spec.typed import Annotated
from cni_common.spec.versions import at_least

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from cni_common.spec.request import Request

DEFAULT_VLAN = 1  # of every port of a bridge
VLAN_MAX = 4094
GROUP_FWD_MAX = 0xFFFF
_OF_BLOCKS = "cluster-pool"  # gives addresses of several subnets
GROUP_FWD_RESTRICTED = 0x7  # STP, pause frames, LACP: the kernel forwards none

_USUAL = frozenset(NetConf.model_fields) | {
    *("bridge", "is_gateway", "is_default_gateway", "ip_masq", "mtu"),
    *("ip_masq_backend", "hairpin_mode", "promisc_mode", "force_address"),
    *("ip_masq_except", "gateway_per_subnet"),
}


TrunkId = Annotated[
    int | None, Field(json_schema_extra={"minimum": 1, "maximum": VLAN_MAX})
]


class Trunk(GoModel):
    """VLANs that a port carries tagged: one, a range, or both."""

    min_id: TrunkId = Field(default=None, alias="minID")
    max_id: TrunkId = Field(default=None, alias="maxID")
    id: TrunkId = None

    def vids(self) -> set[int]:
        """Return the VLAN IDs, or raise Code.INVALID_CONFIG for what is no such set."""
        vids = set()
        if self.id is not None:
            vids.add(_vid(self.id, "incorrect trunk id parameter"))
        if self.min_id is None and self.max_id is None:
            return vids
        if self.min_id is None or self.max_id is None:
            absent = "minID" if self.min_id is None else "maxID"
            cause = "minID and maxID should be configured simultaneously"
            raise invalid_key("vlanTrunk", f"{cause}, {absent} is missing")
        low = _vid(self.min_id, "incorrect trunk minID parameter")
        high = _vid(self.max_id, "incorrect trunk maxID parameter")
        if low > high:
            cause = "minID is greater than maxID in trunk parameter"
            raise invalid_key("vlanTrunk", cause)
        return vids | set(range(low, high + 1))


class BridgeConf(NetConf):
    """The bridge plugin's configuration; see docs/plugins/bridge.md."""

    bridge: str = "cni0"
    is_gateway: bool = False
    is_default_gateway: bool = False
    force_address: bool = False
    gateway_per_subnet: bool = False
    ip_masq: bool = False
    ip_masq_backend: Annotated[
        str, Field(json_schema_extra={"enum": [*masquerade.BACKENDS]})
    ] = ""
    ip_masq_except: list[Subnet] | None = None
    mtu: Mtu = 0
    hairpin_mode: bool = False
    promisc_mode: bool = False
    vlan: Annotated[
        int, Field(json_schema_extra={"minimum": 0, "maximum": VLAN_MAX})
    ] = 0
    vlan_trunk: list[Trunk] | None = None
    preserve_default_vlan: bool = False
    macspoofchk: bool = False
    enabledad: bool = False
    disable_container_interface: bool = False
    port_isolation: bool = False
    group_fwd_mask: Annotated[
        int | None,
        Field(json_schema_extra={"minimum": 0, "maximum": 0xFFF8, "multipleOf": 8}),
    ] = None

    @property
    def gateway(self) -> bool:
        """Whether the bridge is the containers' gateway."""
        return self.is_gateway or self.is_default_gateway

    @property
    def vlan_filtering(self) -> bool:
        """Whether the bridge has to tell VLANs apart."""
        return self.vlan != 0 or self.vlan_trunk is not None

    def doubts(
        self,
        declared: Collection[str],  # noqa: ARG002 - as the base's
        before: Sequence[NetConf],  # noqa: ARG002 - the same
    ) -> list[str]:
        """Return keys that do nothing without addresses, and one that is missing."""
        if (
            self.ipam.type == _OF_BLOCKS
            and self.gateway
            and not self.gateway_per_subnet
        ):
            text = f"the bridge takes the gateway of one block of {_OF_BLOCKS} alone"
            return [f"without gatewayPerSubnet {text}"]
        if self.ipam.type or self.disable_container_interface:
            return []
        keys = {
            "isGateway": self.is_gateway,
            "isDefaultGateway": self.is_default_gateway,
            "ipMasq": self.ip_masq,
        }
        idle = [key for key, value in keys.items() if value]
        return [f"{' '.join(idle)} without ipam: no address, no effect"] if idle else []

    def trunk(self) -> set[int]:
        """Return the VLANs of the trunk; raises Code.INVALID_CONFIG."""
        return {vid for part in self.vlan_trunk or [] for vid in part.vids()}

    @property
    def has_vlans(self) -> bool:
        """Whether it names any VLAN; an empty trunk names none."""
        return self.vlan != 0 or bool(self.vlan_trunk)

    @property
    def has_options(self) -> bool:
        """Whether it has keys that most configurations have not."""
        return bool(self.model_fields_set - _USUAL)

    @property
    def pvid(self) -> int:
        """The VLAN of untagged frames, 0 for none.

        A trunk without a VLAN of its own keeps the default one.
        """
        if not self.vlan and self.vlan_trunk and not self.preserve_default_vlan:
            return DEFAULT_VLAN
        return self.vlan

    @property
    def tagged(self) -> set[int]:
        """The VLANs that the port carries tagged."""
        return self.trunk() - {self.pvid}

    def called(self, name: str) -> BridgeConf:
        """Return the configuration with `name` as the bridge's own name.

        Raises Code.INVALID_CONFIG unless it, and its foot in the VLAN, can be called
        so.
        """
        _valid_link_name(name, IFNAME_MAX)
        if self.vlan and self.gateway:
            _valid_link_name(f"{name}.{self.vlan}", IFNAME_MAX)
        if name == self.bridge:
            return self
        return self.model_copy(update={"bridge": name})

    def validate_for(self, request: Request) -> None:
        """Raise Code.INVALID_CONFIG unless the keys make sense together.

        Not part of the model: DEL must release what an earlier configuration made,
        whatever the present one says.
        """
        _valid_link_name(self.bridge, ALTNAME_MAX)
        if not 0 <= self.vlan <= VLAN_MAX:
            cause = f"invalid VLAN ID {self.vlan} (must be between 0 and {VLAN_MAX})"
            raise invalid_key("vlan", cause)
        self.trunk()
        veth_pair.validate_mtu(self.mtu)
        mask = self.group_fwd_mask or 0
        if not 0 <= mask <= GROUP_FWD_MAX or mask & GROUP_FWD_RESTRICTED:
            cause = f"{mask} is no mask of 16 bits without bits 0, 1 and 2"
            raise invalid_key("groupFwdMask", cause)
        if self.hairpin_mode and self.promisc_mode:
            cause = "cannot set hairpin mode and promiscuous mode at the same time"
            raise invalid_key("hairpinMode", cause)
        if self.port_isolation and self.gateway_per_subnet:
            cause = "the host would lead from one subnet of isolated ports to another"
            raise invalid_key("gatewayPerSubnet", cause)
        if self.disable_container_interface and self.ipam.type:
            cause = "cannot use IPAM when DisableContainerInterface flag is set"
            raise invalid_key("ipam", cause)
        masquerade.validate_backend(self.ip_masq_backend)
        if self.ip_masq and self.ip_masq_backend == "iptables":
            request.log.warning("ipMasqBackend iptables is served by nftables")
        if not self.ipam.type and not at_least(request.cni_version, "0.3.0"):
            cause = f"a result of {request.cni_version} needs an IP address"
            raise invalid_key("ipam", cause)


def _valid_link_name(name: str, longest: int) -> None:
    try:
        validate_ifname(name, longest)
    except CNIError as error:
        raise invalid_key("bridge", f"{error.msg}: {name!r}") from error
    if not name:
        raise invalid_key("bridge", "missing name")


def _vid(value: int, cause: str) -> int:
    if not 1 <= value <= VLAN_MAX:
        raise invalid_key("vlanTrunk", f"{cause} {value}")
    return value
