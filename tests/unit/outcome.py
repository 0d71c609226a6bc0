# SPDX-License-Identifier: Apache-2.0
"""What a call of an IPAM plugin in the test's own process left."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cni_common.frame import skel

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cni_common.frame.plugin import Plugin


@dataclass
class Outcome:
    """What a call left on stdout, and its exit status."""

    status: int
    document: dict[str, Any] = field(default_factory=dict)

    @property
    def addresses(self) -> list[str]:
        """The addresses of a result, without their prefix lengths."""
        assert self.status == 0, self.document
        return [ip["address"].split("/")[0] for ip in self.document.get("ips", [])]

    @property
    def error(self) -> dict[str, Any]:
        """The error's document."""
        assert self.status == 1, self.document
        return self.document

    @property
    def failure(self) -> tuple[int, str]:
        """Code and message of an error."""
        return self.error["code"], self.error["msg"]


def call(plugin: Plugin, conf: dict[str, Any], env: Mapping[str, str]) -> Outcome:
    """Call a plugin."""
    stdout = io.BytesIO()
    streams = io.BytesIO(json.dumps(conf).encode()), stdout, io.StringIO()
    status = skel.run(plugin.name, lambda: plugin, env, *streams)
    text = stdout.getvalue()
    return Outcome(status, json.loads(text) if text else {})


def environment(verb: str, cid: str, ifname: str = "eth0") -> dict[str, str]:
    """Return the variables of a call; no plugin but the one itself is found."""
    return {
        "CNI_COMMAND": verb,
        "CNI_CONTAINERID": cid,
        "CNI_IFNAME": ifname,
        "CNI_NETNS": "/run/netns/absent",
        "CNI_PATH": "/nowhere",
    }
