# SPDX-License-Identifier: Apache-2.0
"""A plugin that does nothing but remember its calls, to test what surrounds plugins."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cni_common.frame import skel
from cni_common.frame.skel import Plugin
from cni_common.spec.netconf import NetConf
from cni_common.spec.result import IP, Result

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cni_common.spec.request import Request

ENV = {
    "CNI_COMMAND": "ADD",
    "CNI_CONTAINERID": "c1",
    "CNI_NETNS": "/run/netns/nowhere",
    "CNI_IFNAME": "eth0",
    "CNI_PATH": "/nowhere",
}


class ProbeConf(NetConf):
    mtu: int = 0
    bridge: str = ""


def addressed() -> Result:
    """Return a result with an address."""
    return Result(ips=[IP.model_validate({"address": "10.1.2.3/24"})])


@dataclass
class Probe:
    """What was called, and what the next call does instead of nothing."""

    calls: list[tuple[str, NetConf]] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    failure: BaseException | None = None
    result: Callable[[], Result] = addressed
    is_ipam: bool = False
    loaded: int = 0

    def load(self) -> Plugin:
        """Return the plugin, and count that it was asked for."""
        self.loaded += 1
        return Plugin(
            "probe",
            conf=ProbeConf,
            add=self._add,
            delete=self._note,
            check=self._note,
            gc=self._note,
            status=self._note,
            is_ipam=self.is_ipam,
        )

    @property
    def verbs(self) -> list[str]:
        """The verbs that were carried out, in order."""
        return [verb for verb, _ in self.calls]

    def _add(self, request: Request, conf: ProbeConf) -> Result:
        self._note(request, conf)
        return self.result()

    def _note(self, request: Request, conf: ProbeConf) -> None:
        self.calls.append((request.command, conf))
        self.requests.append(request)
        if self.failure is not None:
            raise self.failure


@dataclass
class Reply:
    """What came of a call."""

    status: int
    stdout: bytes
    stderr: str

    @property
    def document(self) -> Any:
        """The one document on stdout."""
        return json.loads(self.stdout)

    @property
    def code(self) -> int:
        """The code of the error, or 0 for a success."""
        return int(self.document["code"]) if self.status else 0


def text(**keys: Any) -> bytes:
    """Return the bytes of a configuration."""
    return json.dumps({"cniVersion": "1.1.0", "name": "n", **keys}).encode()


def call(  # noqa: PLR0917 - a process: who, what, environment, streams
    probe: Probe,
    command: str | None = "ADD",
    stdin: bytes | None = None,
    env: Mapping[str, str] | None = None,
    stdout: io.BytesIO | None = None,
    stderr: io.StringIO | None = None,
) -> Reply:
    """Return what the plugin of `probe` answers."""
    variables = dict(ENV if env is None else env)
    variables.pop("CNI_COMMAND", None)
    if command is not None:
        variables["CNI_COMMAND"] = command
    out = stdout or io.BytesIO()
    err = stderr or io.StringIO()
    given = io.BytesIO(text() if stdin is None else stdin)
    status = skel.run("probe", probe.load, variables, given, out, err)
    return Reply(
        status, b"" if stdout else out.getvalue(), "" if stderr else err.getvalue()
    )
