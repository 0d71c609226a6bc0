# SPDX-License-Identifier: Apache-2.0
"""What a plugin's model says about a configuration, for the operator's command."""

from __future__ import annotations

import os

from cni_common.spec import gojson, json_text
from cni_common.spec.errors import CNIError, Code
from cnipy.suite import Refused, Unread
from launcher.loading import load
from plugins import REGISTER

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from cni_common.spec.model import GoModel
    from cni_common.spec.netconf import NetConf

_WHAT = "network configuration"
# Written when the suite is packed; in the checkout it is made from its sources.
_WRITTEN = f"{os.path.dirname(__file__)}/keys.json"
# What runtimes write, or read, is not the plugin's alone; `ipam` is another's.
_NOT_ITS_OWN = frozenset(
    {"args", "capabilities", "ipam", "prevresult", "runtimeconfig"}
)


def unread(kind: str, document: Mapping[str, Any]) -> list[Unread]:
    """Return the keys of the configuration that neither plugin nor IPAM plugin reads.

    Both are looked at as far as they are in the register.
    """
    own = {k: v for k, v in document.items() if k.casefold() not in _NOT_ITS_OWN}
    found = _of(load(kind).conf, own)
    ipam = gojson.member(dict(document), "ipam")
    if isinstance(ipam, dict) and gojson.member(ipam, "type") in REGISTER:
        conf = load(str(gojson.member(ipam, "type"))).conf
        found += _of(conf, {"ipam": ipam})
    return found


def read(kind: str, document: Mapping[str, Any]) -> NetConf:
    """Return what the plugin reads of the configuration, without what is invalid.

    Of a type of others it is what any plugin reads.
    """
    from cni_common.spec.model import parse_leniently
    from cni_common.spec.netconf import NetConf

    model = load(kind).conf if kind in REGISTER else NetConf
    return parse_leniently(model, dict(document))[0]


def refused(kind: str, document: Mapping[str, Any]) -> list[Refused]:
    """Return what the plugin and its IPAM plugin would refuse of the configuration.

    Nothing of a version that it does not speak, in which keys have no meaning.
    """
    from pydantic import ValidationError

    try:
        check(kind, document, "")
    except CNIError as error:
        cause = error.__cause__
        if error.code == Code.INCOMPATIBLE_VERSION:
            return []
        if isinstance(cause, ValidationError):
            return [_invalid(each["loc"], each["msg"]) for each in cause.errors()]
        # As invalid_key of spec/errors.py has it, and those who use a value.
        verb, _, rest = error.msg.partition(" ")
        key = rest.split(":")[0].split(" ")[0] if verb in {"parse", "use"} else ""
        return [Refused(tuple(filter(None, key.split("."))), str(error))]
    return []


def _invalid(path: tuple[str | int, ...], cause: str) -> Refused:
    where = ".".join(map(str, path))
    text = cause.removeprefix("Value error, ")
    return Refused(path, f"{where}: {text}" if where else text)


def check(kind: str, document: Mapping[str, Any], args: str) -> None:
    """Raise what the plugin and its IPAM plugin would refuse of the configuration.

    A version that it does not speak comes first. With the capabilities that it declares
    a runtime may still send what is missing. `args` are CNI_ARGS.
    """
    from cni_common import requested_mac
    from cni_common.attachment import chained
    from cni_common.spec.model import parse
    from cni_common.spec.request import Request

    plugin = load(kind)
    behind = isinstance(plugin.scheme, chained.Scheme)
    before: dict[str, Any] = {"prevResult": {}} if behind else {}
    text = json_text.dumps({**document, **before}).encode()
    request = Request.read("STATUS", {"CNI_ARGS": args}, text)
    if request.cni_version not in plugin.versions:
        raise CNIError(Code.INCOMPATIBLE_VERSION, "incompatible CNI versions")
    conf = parse(plugin.conf, request.document, _WHAT)
    conf.validate_for(request)
    # ADD looks at it unless there is one that comes before it.
    requested_mac.first([("mac", getattr(conf, "mac", ""))])
    if isinstance(plugin.scheme, chained.Scheme):
        plugin.scheme.wished(request, conf)
    if conf.ipam.type in REGISTER and plugin.scheme is not None:
        parse(load(conf.ipam.type).conf, request.document, _WHAT).validate_for(request)


def known() -> dict[str, Any]:
    """Return what is known of all keys, as json_schemas.py writes it."""
    try:
        with open(_WRITTEN, encoding="utf-8") as file:
            written: dict[str, Any] = json_text.loads(file.read())
    except FileNotFoundError:
        from launcher.json_schemas import everything

        return everything()
    return written


def _of(model: type[GoModel], document: Mapping[str, Any]) -> list[Unread]:
    return [Unread(path, known) for path, known in model.unread(document)]
