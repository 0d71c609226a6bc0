# SPDX-License-Identifier: Apache-2.0
"""The keys of the host-device plugin."""

from __future__ import annotations

import os

from pydantic import Field

from cni_common import leased
from cni_common.spec import gojson
from cni_common.spec.characters import Pattern
from cni_common.spec.environment import validate_existing
from cni_common.spec.errors import CNIError, invalid_key
from cni_common.spec.netconf import NetConf
from cni_common.spec.typed import Annotated

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from cni_common.spec.request import Request

DEVICES = "/sys/devices/"
_PCI = Pattern(r"[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]")
_AUXILIARY = Pattern(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)+")
_QUADS = Pattern(r"[0-9a-f]{4}(\.[0-9a-f]{4})+")
_NAME_MAX = 255  # a file's name
# Octets of a hardware address: EUI-48, EUI-64, InfiniBand.
_MAC = {
    octets: Pattern(rf"[0-9a-f]{{2}}(?:(?P<sep>[:-])[0-9a-f]{{2}}){{{octets - 1}}}")
    for octets in (6, 8, 20)
}


class HostDeviceConf(NetConf):
    """The host-device plugin's configuration; see docs/plugins/host-device.md."""

    device: str = ""
    hwaddr: str = ""
    kernelpath: Annotated[
        str, Field(json_schema_extra={"pattern": f"^({DEVICES}|$)"})
    ] = ""
    pci_bus_id: str = Field(
        default="",
        alias="pciBusID",
        json_schema_extra={
            "pattern": r"^([0-9A-Fa-f]{4,8}:[0-9A-Fa-f]{2}:[0-9A-Fa-f]{2}\.[0-7])?$"
        },
    )

    @property
    def device_id(self) -> object:
        """The capability `deviceID`, which comes before every key."""
        return gojson.member(self.runtime_config, "deviceID") or ""

    @property
    def names_device(self) -> bool:
        """Whether a device is named in any way."""
        keys = (self.device, self.hwaddr, self.kernelpath, self.pci_bus_id)
        return any((*keys, self.device_id))

    def validate_for(self, request: Request) -> None:
        """Raise Code.INVALID_CONFIG unless the keys make sense.

        Not part of the model: DEL must release what an earlier configuration lent,
        whatever the present one says. Which device a runtime will name is not known
        on STATUS.
        """
        if not self.names_device:
            if request.command == "STATUS" and _is_named_later(request):
                return
            cause = 'specify either "device", "hwaddr", "kernelpath" or "pciBusID"'
            raise invalid_key("device", cause)
        try:
            validate_existing(self.device)
        except CNIError as error:
            raise invalid_key("device", f"{error.msg}: {self.device!r}") from error
        if self.hwaddr:
            hardware_address(self.hwaddr)
        if self.kernelpath:
            _validate_kernel_path(self.kernelpath)
        if self.pci_bus_id and not is_pci(self.pci_bus_id):
            raise invalid_key("pciBusID", f"{self.pci_bus_id!r} is not a PCI address")
        device_id = self.device_id
        if device_id and not (is_pci(device_id) or is_auxiliary(device_id)):
            cause = f"{device_id!r} is neither a PCI address nor an auxiliary device"
            raise invalid_key("runtimeConfig.deviceID", cause)
        leased.require_shape(request, self)


def _is_named_later(request: Request) -> bool:
    capabilities = gojson.member(request.document, "capabilities")
    if not isinstance(capabilities, dict):
        return False
    return bool(gojson.member(capabilities, "deviceID"))


def is_pci(text: object) -> bool:
    """Tell whether `text` has the form of a PCI address ("0000:03:00.1")."""
    return isinstance(text, str) and bool(_PCI.fullmatch(text.lower()))


def is_auxiliary(text: object) -> bool:
    """Tell whether `text` may be a device of the auxiliary bus ("mlx5_core.sf.4")."""
    if not isinstance(text, str) or len(text) > _NAME_MAX:
        return False
    return bool(_AUXILIARY.fullmatch(text))


def hardware_address(text: str) -> str:
    """Return a hardware address in lower case with colons.

    Raises Code.INVALID_CONFIG.
    """
    folded = text.lower()
    if _QUADS.fullmatch(folded):
        digits = folded.replace(".", "")
        folded = ":".join(digits[i : i + 2] for i in range(0, len(digits), 2))
    one_separator = len({c for c in folded if c in ":-"}) == 1
    if not one_separator or not any(p.fullmatch(folded) for p in _MAC.values()):
        raise invalid_key("hwaddr", f"{text!r} is not a MAC address")
    return folded.replace("-", ":")


def _validate_kernel_path(path: str) -> None:
    if not path.startswith(DEVICES) or "\0" in path:
        cause = f"{path!r} must be absolute and begin with {DEVICES}"
        raise invalid_key("kernelpath", cause)
    if os.path.normpath(path) != path.rstrip("/"):
        cause = f'{path!r} has an empty component, "." or ".."'
        raise invalid_key("kernelpath", cause)
