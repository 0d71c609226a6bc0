# SPDX-License-Identifier: Apache-2.0
"""What dhcp reads of the network configuration, and what a server is asked for."""

from __future__ import annotations

from pydantic import AfterValidator, Field

from cni_common.spec import cniargs
from cni_common.spec.errors import CNIError, Code, invalid_key
from cni_common.spec.model import GoModel
from cni_common.spec.netconf import Ipam, NetConf
from cni_common.spec.typed import Annotated
from plugins.dhcp import codes
from plugins.dhcp.terms import Terms
from plugins.dhcp.wire import SOCKET

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from cni_common.spec.request import Request

_TEXT_MAX = 255  # bytes, of an option that a server takes in one part
_TIMEOUT_MAX = 3600
_METRIC_MAX = 2**32 - 1


def _absolute(path: str) -> str:
    if path and (not path.startswith("/") or "\0" in path):
        raise ValueError(f"{path!r} is not an absolute path")
    return path


def _option(word: str) -> str:
    if word:
        codes.code_of(word)
    return word


def _seconds(value: int) -> int:
    if not 0 < value <= _TIMEOUT_MAX:
        raise ValueError(f"{value} is not a time of up to {_TIMEOUT_MAX} seconds")
    return value


def _metric(value: int) -> int:
    if not 0 <= value <= _METRIC_MAX:
        raise ValueError(f"{value} is no metric of a route")
    return value


Option = Annotated[str, AfterValidator(_option)]


class Provided(GoModel):
    """One of `provide`: an option, and its text or the key of CNI_ARGS that has it."""

    option: Option
    value: str = ""
    from_arg: str = ""


class Requested(GoModel):
    """One of `request`; one that skips the defaults may name no option."""

    option: Option = ""
    skip_default: bool = False


class IpamConf(Ipam):
    """`ipam`."""

    daemon_socket_path: Annotated[
        str, AfterValidator(_absolute), Field(json_schema_extra={"pattern": "^(/|$)"})
    ] = ""
    provide: list[Provided] = Field(default_factory=list)
    request: list[Requested] = Field(default_factory=list)
    priority: Annotated[
        int,
        AfterValidator(_metric),
        Field(json_schema_extra={"minimum": 0, "maximum": _METRIC_MAX}),
    ] = 0
    broadcast: bool = False
    probe: bool = True
    ipv4: bool = True
    slaac: bool = False
    dhcpv6: bool = False
    timeout: Annotated[
        int,
        AfterValidator(_seconds),
        Field(json_schema_extra={"minimum": 1, "maximum": _TIMEOUT_MAX}),
    ] = 30


class DhcpConf(NetConf):
    """The configuration of the delegating plugin, as an IPAM plugin sees it."""

    ipam: IpamConf = Field(default_factory=IpamConf)

    @property
    def socket(self) -> str:
        """Where the keeper of leases listens."""
        return self.ipam.daemon_socket_path or SOCKET

    def validate_for(self, request: Request) -> None:
        """Raise Code.INVALID_CONFIG, or Code.INVALID_ENVIRONMENT for CNI_ARGS."""
        self.terms(request.args)
        self.require_a_family()

    def require_a_family(self) -> None:
        """Raise Code.INVALID_CONFIG unless an address of some family is asked for."""
        if not (self.ipam.ipv4 or self.ipam.slaac or self.ipam.dhcpv6):
            cause = "neither ipv4, slaac nor dhcpv6 is asked for"
            raise invalid_key("ipam", cause)

    def terms(self, args: str) -> Terms:
        """Return what a server is told and asked for, with `args` as CNI_ARGS.

        As in the reference every key of those may be named. Raises Code.INVALID_CONFIG
        and Code.INVALID_ENVIRONMENT.
        """
        known = cniargs.parse(args, strict=False)
        provided = {}
        for number, each in enumerate(self.ipam.provide):
            code = codes.code_of(each.option)
            text = known.get(each.from_arg, "") if each.from_arg else ""
            if not (text or each.value):
                continue
            held = codes.given(code, text or each.value)
            if len(held) > _TEXT_MAX:
                cause = f"{each.option} has {len(held)} bytes, more than {_TEXT_MAX}"
                if text:
                    msg = f"parse CNI_ARGS: {each.from_arg}: {cause}"
                    raise CNIError(Code.INVALID_ENVIRONMENT, msg)
                raise invalid_key(f"ipam.provide.{number}", cause)
            provided[code] = held
        asked = [codes.code_of(r.option) for r in self.ipam.request if r.option]
        skips = any(each.skip_default for each in self.ipam.request)
        requested = dict.fromkeys((*(() if skips else codes.DEFAULT), *asked))
        return Terms(
            requested=tuple(requested),
            provided=provided,
            broadcast=self.ipam.broadcast,
            metric=self.ipam.priority,
            probe=self.ipam.probe,
        )
