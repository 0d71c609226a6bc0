# SPDX-License-Identifier: Apache-2.0
"""What the command is given of the floor above it, which knows the plugins."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cni_common.spec.values import dataclass, field

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cni_common.frame.plugin import Plugin
    from cni_common.spec.netconf import NetConf


@dataclass(frozen=True)
class Unread:
    """A key of a configuration that its plugin does not read.

    `known` are those that it reads in the same object.
    """

    path: tuple[str | int, ...]
    known: tuple[str, ...]


@dataclass(frozen=True)
class Refused:
    """What a plugin would refuse, and the path of the value, as far as it is known."""

    path: tuple[str | int, ...]
    text: str


@dataclass(frozen=True)
class Warm:
    """The warm server as a caller finds it.

    listening: a socket is there; serves: it took a call of this build; builds: those
    of the servers that run.
    """

    socket: str
    listening: bool
    serves: bool
    builds: tuple[str, ...]


@dataclass(frozen=True)
class Keeper:
    """A keeper of leases as a caller finds it.

    fault: why it does not answer, empty if it does; leases: how many there are in which
    state; renewal: in how many seconds the first is renewed.
    """

    socket: str
    fault: str = ""
    leases: Mapping[str, int] = field(default_factory=dict)
    renewal: float | None = None


@dataclass(frozen=True)
class Suite:
    """The plugins' names, and what else only the floor above can say or do.

    serve: be the warm server of a packed file, listening at a path, until nobody has
    called for some seconds, and return why it ended; keep_leases: be the keeper of
    leases that listens at a path, for namespaces below a prefix; keepers: who keeps
    leases, and how those are.

    Of a configuration of a type: unread, keys that its plugin does not read; refused,
    what it would refuse on ADD; read, what it reads, without what is invalid, of a type
    of others what any plugin reads.

    warm: how the server of a build is found; plugin: the one of a name, with what it
    says of its attachments; keys: what is known of all keys: `schemas` by plugin, and
    for `conflist`, `plugin` and `ipam`, with references to `#/$defs/`; by plugin its
    `capabilities`, `environment`, keys of CNI_ARGS with what they mean, and `ours`,
    keys that the reference does not read; recording: the names of those that write
    records; versions: which a plugin speaks; version: of the suite.
    """

    names: tuple[str, ...]
    serve: Callable[[str, str, float | None], str]
    keep_leases: Callable[[str, str, Callable[[str], None]], None]
    keepers: Callable[[], list[Keeper]]
    unread: Callable[[str, Mapping[str, Any]], list[Unread]]
    refused: Callable[[str, Mapping[str, Any]], list[Refused]]
    read: Callable[[str, Mapping[str, Any]], NetConf]
    warm: Callable[[str], Warm]
    plugin: Callable[[str], Plugin]
    keys: Callable[[], dict[str, Any]]
    recording: tuple[str, ...] = ()
    versions: Callable[[str], tuple[str, ...]] = lambda _: ()
    uid: int = 0
    version: str = ""
