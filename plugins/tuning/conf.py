# SPDX-License-Identifier: Apache-2.0
"""What an administrator and a runtime may write for tuning."""

from __future__ import annotations

from pydantic import BeforeValidator, Field

from cni_common import previous, requested_mac
from cni_common.link_backup import DATA_DIR
from cni_common.spec import cniargs, json_text
from cni_common.spec.characters import is_directory
from cni_common.spec.errors import invalid_key
from cni_common.spec.fields import MacText
from cni_common.spec.model import GoModel
from cni_common.spec.netconf import NetConf
from cni_common.spec.typed import Annotated, Any
from cni_common.spec.values import dataclass
from plugins.tuning import allowlist
from plugins.tuning.names import PLACEHOLDER, parameter

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Iterator

    from cni_common.shapes import Setting
    from cni_common.spec.request import Request

NUMBER_MAX = 2**31 - 1  # the kernel's own limit of an MTU


def _without_nulls(value: object) -> object:
    if not isinstance(value, dict):
        return value
    return {key: item for key, item in value.items() if item is not None}


def _directory(value: object) -> object:
    if isinstance(value, str) and value and not is_directory(value):
        msg = f"{value!r} is not an absolute path without '..'"
        raise ValueError(msg)
    return value


Number = Annotated[int, Field(ge=0, le=NUMBER_MAX)]
Sysctl = Annotated[dict[str, str], BeforeValidator(_without_nulls)]


@dataclass(frozen=True)
class Wanted:
    """Settings of the link by key, kernel parameters by their path under /proc/sys.

    `data_dir` is where the backup lies.
    """

    link: dict[str, Setting]
    sysctl: dict[str, str]
    data_dir: str

    def __bool__(self) -> bool:
        return bool(self.link or self.sysctl)


class Wishes(GoModel):
    """What may be asked for; MTU in bytes, 0 for none, the queue's length in packets.

    None is not asked for.
    """

    sysctl: Sysctl = Field(default_factory=dict)
    mac: MacText = ""
    mtu: Number | None = None
    tx_q_len: Number | None = None
    promisc: bool | None = None
    allmulti: bool | None = None

    def settings(self) -> dict[str, Setting | None]:
        """Return the settings of the link, the MAC apart."""
        return {
            "mtu": self.mtu,
            "txQLen": self.tx_q_len,
            "promisc": self.promisc,
            "allmulti": self.allmulti,
        }


class Args(GoModel):
    """`args`, of which only the part named after the protocol is ours."""

    cni: Wishes = Field(default_factory=Wishes)


class TuningConf(Wishes, NetConf):
    """The configuration of tuning; what `args.cni` asks for comes first."""

    args: Args = Field(default_factory=Args)  # type: ignore[assignment]  # narrower than the base's plain object
    data_dir: Annotated[str, BeforeValidator(_directory)] = DATA_DIR

    @property
    def directory(self) -> str:
        """Where the backup lies."""
        return self.data_dir or DATA_DIR

    def validate_for(self, request: Request) -> None:
        """Raise Code.INVALID_CONFIG or Code.INVALID_ENVIRONMENT for what the model
        cannot see: names, duplicates, MACs.
        """
        if request.command != "STATUS":
            previous.required(request)
        keys = {**self.sysctl, **self.args.cni.sysctl}
        if keys:
            _refuse_duplicates(request.stdin)
            allowlist.check(keys)
        self.wanted(request)

    def wanted(self, request: Request) -> Wanted:
        """Return what is asked for.

        Raises Code.INVALID_CONFIG, or Code.INVALID_ENVIRONMENT for CNI_ARGS.
        """
        ifname = request.ifname or PLACEHOLDER
        sysctl = _by_path(self.sysctl, "sysctl", ifname)
        sysctl |= _by_path(self.args.cni.sysctl, "args.cni.sysctl", ifname)
        asked = {k: v for k, v in self.args.cni.settings().items() if v is not None}
        link: dict[str, Setting] = {
            key: value
            for key, value in {**self.settings(), **asked}.items()
            if value is not None and (key != "mtu" or value != 0)
        }
        mac = requested_mac.first(
            [
                ("args.cni.mac", self.args.cni.mac),
                requested_mac.of_runtime(self),
                ("CNI_ARGS MAC", cniargs.parse(request.args).get("MAC")),
                ("mac", self.mac),
            ]
        )
        link = {"mac": mac, **link} if mac else link
        return Wanted(link, sysctl, self.directory)


def _by_path(named: dict[str, str], key: str, ifname: str) -> dict[str, str]:
    """Return the values by the path of the parameter; each may be named once."""
    found: dict[str, str] = {}
    for name, value in named.items():
        try:
            path = parameter(name, ifname)
        except ValueError as error:
            raise invalid_key(key, str(error)) from error
        if not value or "\0" in value:
            raise invalid_key(key, f"{value!r} is no value for {name}")
        if path in found:
            raise invalid_key(key, f"{name} is there under another name too")
        found[path] = value
    return found


def _refuse_duplicates(stdin: bytes) -> None:
    """Raise Code.INVALID_CONFIG if a parameter, or `sysctl` itself, is written twice.

    Reading JSON keeps the last of them, and which one was meant nobody knows.
    """
    whole = json_text.loads(stdin.decode("utf-8", "replace"), pairs=tuple)
    args = [inner for key, inner in _members(whole) if key.casefold() == "args"]
    named = [v for inner in args for k, v in _members(inner) if k.casefold() == "cni"]
    for where, objects in (("sysctl", [whole]), ("args.cni.sysctl", named)):
        seen: set[str] = set()
        for key in (name for each in objects for name in _parameters(each)):
            if key in seen:
                cause = f"duplicated sysctl keys are not allowed: {key}"
                raise invalid_key(where, cause)
            seen.add(key)


def _parameters(pairs: object) -> Iterator[str]:
    """Yield the names below every `sysctl` of an object."""
    for key, inner in _members(pairs):
        if key.casefold() == "sysctl":
            yield from (name for name, _ in _members(inner))


def _members(pairs: object) -> list[tuple[str, Any]]:
    return list(pairs) if isinstance(pairs, tuple) else []
