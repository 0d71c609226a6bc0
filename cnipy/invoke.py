# SPDX-License-Identifier: Apache-2.0
"""One plugin executed once, as libcni executes it (section 2)."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from cni_common.frame.delegate import find
from cni_common.frame.execute import execute
from cni_common.frame.streams import tell
from cni_common.spec import gojson
from cni_common.spec.errors import CNIError, Code
from cni_common.spec.values import dataclass
from cni_common.spec.versions import NEWEST, OLDEST

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cnipy.attachment import Attachment


@dataclass(frozen=True)
class Invoker:
    """Directories where plugins lie, and the environment that they inherit."""

    path: tuple[str, ...]
    env: Mapping[str, str]

    def run(
        self, verb: str, conf: Mapping[str, Any], attachment: Attachment | None
    ) -> bytes:
        """Return what the plugin of `conf` wrote to stdout.

        What a plugin that succeeds says on stderr is passed on. Raises its own error
        when it fails, with its type before the message.
        """
        kind = str(gojson.member(dict(conf), "type"))
        stdin = json.dumps(conf, sort_keys=True).encode()
        env = {**self.env, **variables(verb, attachment)}
        env["CNI_PATH"] = ":".join(self.path)
        executable = find(kind, self.path)
        try:
            status, stdout, stderr = execute([executable], stdin, env)
        except OSError as error:
            msg = f"execute {executable}: {error.strerror}"
            raise CNIError(Code.INTERNAL, msg) from error
        if status != 0:
            raise _failure(kind, stdout, stderr)
        tell(sys.stderr, stderr.decode(errors="replace"))
        return stdout

    def versions(self, kind: str) -> list[str]:
        """Return the versions that a plugin says it supports."""
        conf = {"cniVersion": NEWEST, "type": kind}
        try:
            stdout = self.run("VERSION", conf, None)
        except CNIError as error:
            # A plugin of before 0.2.0 does not know the verb.
            if "unknown CNI_COMMAND: VERSION" in error.msg:
                return [OLDEST]
            raise
        listed = gojson.load_object(stdout, f"answer of {kind}")
        supported = listed.get("supportedVersions")
        if not isinstance(supported, list):
            msg = f"decode answer of {kind}: no supportedVersions"
            raise CNIError(Code.DECODE_FAILURE, msg)
        return [str(version) for version in supported]


def variables(verb: str, attachment: Attachment | None) -> dict[str, str]:
    """Return the variables of a call of `verb` (section 2)."""
    return {
        "CNI_COMMAND": verb,
        "CNI_CONTAINERID": attachment.container_id if attachment else "",
        "CNI_NETNS": attachment.netns if attachment else "",
        "CNI_IFNAME": attachment.ifname if attachment else "",
        "CNI_ARGS": attachment.cni_args if attachment else "",
    }


def _failure(kind: str, stdout: bytes, stderr: bytes) -> CNIError:
    try:
        document = gojson.load_object(stdout)
        code = document.get("code")
        return CNIError(
            code if isinstance(code, int) else Code.INTERNAL,
            f"{kind}: {document.get('msg') or 'no message'}",
            str(document.get("details") or ""),
        )
    except CNIError:
        said = (stderr or stdout).decode(errors="replace").strip()
        msg = f"{kind}: failed with no error message"
        return CNIError(Code.INTERNAL, msg, said)
