# SPDX-License-Identifier: Apache-2.0
"""The MAC that somebody asked for, wherever it may be written."""

from __future__ import annotations

from cni_common.spec import cniargs, gojson
from cni_common.spec.errors import invalid_key
from cni_common.spec.fields import mac

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from cni_common.spec.netconf import NetConf
    from cni_common.spec.request import Request


def of_request(request: Request, conf: NetConf) -> str:
    """Return the MAC that was asked for the container's end, or an empty text.

    runtimeConfig.mac comes before args.cni.mac, which comes before MAC in CNI_ARGS.
    Raises Code.INVALID_CONFIG, or Code.INVALID_ENVIRONMENT for CNI_ARGS.
    """
    pairs = cniargs.parse(request.args)
    in_args = ("CNI_ARGS MAC", pairs.get("MAC"))
    return first([of_runtime(conf), of_args(conf), in_args])


def before_key(request: Request, conf: NetConf, key: str) -> str:
    """Return the MAC that was asked for, or an empty text.

    runtimeConfig.mac comes before MAC in CNI_ARGS, which comes before `key`, the `mac`
    of the configuration. Raises Code.INVALID_CONFIG, or Code.INVALID_ENVIRONMENT for
    CNI_ARGS.
    """
    in_args = ("CNI_ARGS MAC", cniargs.parse(request.args).get("MAC"))
    return first([of_runtime(conf), in_args, ("mac", key)])


def first(candidates: Iterable[tuple[str, Any]]) -> str:
    """Return the first MAC that is given, or an empty text.

    `candidates` are places and what is written there, in the order in which they
    count. Raises Code.INVALID_CONFIG for one that is no unicast address.
    """
    for key, value in candidates:
        if not value:
            continue
        try:
            address = mac(value)
        except ValueError as error:
            raise invalid_key(key, str(error)) from error
        if int(address[:2], 16) & 1 or address == "00:00:00:00:00:00":
            raise invalid_key(key, f"{address} is not a unicast address")
        return address
    return ""


def of_runtime(conf: NetConf) -> tuple[str, Any]:
    """Return the capability `mac` as a candidate."""
    return "runtimeConfig.mac", gojson.member(conf.runtime_config, "mac")


def of_args(conf: NetConf) -> tuple[str, Any]:
    """Return `args.cni.mac` as a candidate (CONVENTIONS.md)."""
    named = gojson.member(conf.args, "cni")
    found = gojson.member(named, "mac") if isinstance(named, dict) else None
    return "args.cni.mac", found
