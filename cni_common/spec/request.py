# SPDX-License-Identifier: Apache-2.0
"""One call of a plugin: what the environment and stdin said."""

from __future__ import annotations

from functools import cached_property

from cni_common.frame.log import Log
from cni_common.spec import environment, gojson, json_text
from cni_common.spec.errors import CNIError, Code
from cni_common.spec.values import dataclass, field, replace
from cni_common.spec.versions import OLDEST

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from cni_common.spec.result import Result

ATTACHMENT_KEYS = ("cni.dev/valid-attachments", "cni.dev/attachments")
TRUE = frozenset({"1", "true"})


def _to_nobody(result: Result) -> None:
    """Deliver nothing: who called has the result as a value."""


@dataclass(frozen=True, eq=False)
class Request:
    """A verb with its variables, and the network configuration it came with.

    `stdin` is the configuration byte for byte, `document` the same as JSON.
    `in_process` finds a plugin of this suite by the path of its executable, `deliver`
    gives the result of ADD to the runtime.
    """

    command: str
    env: Mapping[str, str]
    stdin: bytes
    document: dict[str, Any]
    network: str
    cni_version: str
    in_process: Callable[[str], Any] | None = None
    log: Log = field(default_factory=Log)
    deliver: Callable[[Result], None] = _to_nobody

    @classmethod
    def read(
        cls,
        command: str,
        env: Mapping[str, str],
        stdin: bytes,
        in_process: Callable[[str], Any] | None = None,
    ) -> Request:
        """Return the request, or raise Code.DECODE_FAILURE or Code.INVALID_CONFIG for a
        configuration that is none.
        """
        document = gojson.load_object(stdin)
        network = environment.validate_network_name(gojson.string(document, "name"))
        version = gojson.string(document, "cniVersion") or OLDEST
        return cls(command, env, stdin, document, network, version, in_process)

    @property
    def container_id(self) -> str:
        """CNI_CONTAINERID."""
        return self.env.get("CNI_CONTAINERID", "")

    @property
    def ifname(self) -> str:
        """CNI_IFNAME: name of the link in the container."""
        return self.env.get("CNI_IFNAME", "")

    @property
    def netns(self) -> str:
        """CNI_NETNS: path of the container's network namespace, or empty on DEL."""
        return self.env.get("CNI_NETNS", "")

    @property
    def netns_override(self) -> bool:
        """CNI_NETNS_OVERRIDE: the plugin's own namespace is accepted as CNI_NETNS."""
        return self.env.get("CNI_NETNS_OVERRIDE", "").lower() in TRUE

    @property
    def args(self) -> str:
        """CNI_ARGS, unparsed."""
        return self.env.get("CNI_ARGS", "")

    @property
    def path(self) -> tuple[str, ...]:
        """CNI_PATH: directories where delegates are looked up, in order."""
        return tuple(part for part in self.env.get("CNI_PATH", "").split(":") if part)

    @cached_property
    def prev_result(self) -> Result | None:
        """The result so far, or None.

        Raises Code.DECODE_FAILURE or Code.INVALID_CONFIG when it is malformed.
        """
        from cni_common.spec.result import Result  # noqa: PLC0415 - pydantic is expensive

        document = gojson.member(self.document, "prevResult")
        if document is None:
            return None
        return Result.read(document, self.cni_version)

    @cached_property
    def valid_attachments(self) -> frozenset[tuple[str, str]] | None:
        """(container ID, interface name) of what GC must keep; None: nothing was said.

        A key that is null is the empty list: libcni writes it so when nothing is valid.
        Raises Code.INVALID_CONFIG for a list that is none, since acting on a part of it
        would delete what lives (section 2, GC).
        """
        spellings = {
            key: gojson.spelling(self.document, key) for key in ATTACHMENT_KEYS
        }
        given = {key: name for key, name in spellings.items() if name is not None}
        for key, name in given.items():
            if self.document[name] is not None:
                return _attachments(self.document[name], key)
        return frozenset() if given else None

    def delivered(self, result: Result) -> Result:
        """Return `result` when the runtime has it; raises what kept it from that.

        Called inside the Rollback of ADD, for what the runtime does not hear of must
        not stay.
        """
        self.deliver(result)
        return result

    def delivering(self, deliver: Callable[[Result], None]) -> Request:
        """Return the same request, the result of which goes through `deliver`."""
        return replace(self, deliver=deliver)

    def as_verb(self, command: str) -> Request:
        """Return the same request under another verb, as a delegate would get it."""
        env = {**self.env, "CNI_COMMAND": command}
        return replace(self, command=command, env=env, deliver=_to_nobody)

    def without_netns(self) -> Request:
        """Return the request as a runtime makes it whose namespace is gone."""
        env = {key: value for key, value in self.env.items() if key != "CNI_NETNS"}
        return replace(self, env=env)

    def on_network(self, network: str) -> Request:
        """Return the request with another name of the network."""
        others = {k: v for k, v in self.document.items() if k.casefold() != "name"}
        document = {**others, "name": network}
        stdin = json_text.dumps(document).encode()
        return replace(self, document=document, stdin=stdin, network=network)


def _attachments(listed: object, key: str) -> frozenset[tuple[str, str]]:
    msg = f"parse {key}: not a list of attachments"
    if not isinstance(listed, list):
        raise CNIError(Code.INVALID_CONFIG, msg)
    found = set()
    for item in listed:
        if not isinstance(item, dict):
            raise CNIError(Code.INVALID_CONFIG, msg)
        container_id = gojson.member(item, "containerID")
        ifname = gojson.member(item, "ifname")
        if not isinstance(container_id, str) or not isinstance(ifname, str):
            raise CNIError(Code.INVALID_CONFIG, msg)
        found.add((container_id, ifname))
    return frozenset(found)
