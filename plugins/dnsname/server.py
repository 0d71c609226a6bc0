# SPDX-License-Identifier: Apache-2.0
"""A network's dnsmasq and the names it serves: one small file for each attachment.

/run/cni/cnipy/dnsname-servers/<network>/ holds dnsmasq.conf, its pid, `service` (what
it was started for) and hosts/, which dnsmasq watches. It runs as long as there is a
file in hosts/. All functions but `lock` are called with the lock held.
"""

from __future__ import annotations

import errno
import os
import signal
import time
from contextlib import contextmanager, suppress

from cni_common import naming, shapes, state
from cni_common.attachment import shared
from cni_common.kernel import processes
from cni_common.spec.errors import CNIError, is_absence, of_os
from plugins.dnsname import dnsmasq
from plugins.dnsname.dnsmasq import Service

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from contextlib import AbstractContextManager

    from cni_common.kernel.processes import Process
    from cni_common.naming import Attachment
    from cni_common.shapes import Table

ROOM = "dnsname-servers"
_SERVICE, _HOSTS, _INHERITED = "service", "hosts", "inherited"
_TABLE: Table = {
    "links": (shapes.listed(shapes.link), ()),
    "domain": (shapes.word, ""),
    "remoteServers": (shapes.listed(shapes.word), ()),
}
_PATIENCE = 5.0  # seconds until a dnsmasq that does not end is killed
_PID_DIGITS = 20
_IN_USE = os.strerror(errno.EADDRINUSE)
_PAUSES = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32)  # seconds until the port is free


def lock() -> AbstractContextManager[None]:
    """Hold what all servers and their files are changed under."""
    return state.lock("dnsname")


def service(network: str) -> Service | None:
    """Return what the network's dnsmasq was started for, or None if it was not."""
    document = state.read_table(_directory(network), _SERVICE, _TABLE)
    if document is None:
        return None
    return Service(document["links"], document["domain"], document["remoteServers"])


def ensure(network: str, wanted: Service, env: Mapping[str, str]) -> None:
    """Have dnsmasq running for `wanted`, and go on serving the links it serves.

    A dead one is started, one with another configuration is started anew. Raises
    code 999.
    """
    present = service(network)
    if present is not None:
        wanted = wanted.on_further(present.links)
    with running(network) as process:
        if process is not None and present == wanted and process.is_in_our_netns():
            return
    _stop(network)
    _start(network, wanted, dnsmasq.find(env))


def restore(network: str, before: Service | None, env: Mapping[str, str]) -> None:
    """Have the network served as it was before a failed ADD."""
    if before is None or not is_used(network):
        stop_if_unused(network)
    elif service(network) != before:
        _stop(network)
        _start(network, before, dnsmasq.find(env))


def publish(owner: Attachment, text: str) -> None:
    """Have `text`, in the format of hosts(5), served for `owner`."""
    directory = state.ensure_readable_directory(ROOM, _short(owner.network), _HOSTS)
    state.write_text(directory, _file(owner), text, 0o644)


def published(owner: Attachment) -> str | None:
    """Return what is served for `owner`, or None."""
    return _content(owner.network, _file(owner))


def publish_inherited(network: str, text: str) -> None:
    """Have `text` served for containers that another plugin attached; empty: none."""
    if text:
        directory = state.ensure_readable_directory(ROOM, _short(network), _HOSTS)
        state.write_text(directory, _INHERITED, text, 0o644)
    else:
        _remove(network, _INHERITED)
        stop_if_unused(network)


def inherited(network: str) -> str | None:
    """Return what is served for containers that another plugin attached, or None."""
    return _content(network, _INHERITED)


def withdraw(owner: Attachment) -> None:
    """Have nothing served for `owner`, and no dnsmasq if it was the last."""
    shared.let_go(_users(owner.network), _file(owner))
    stop_if_unused(owner.network)


def collect(network: str, valid: Collection[Attachment]) -> None:
    """Have nothing served on `network` but for the `valid` attachments; for GC."""
    kept = {_file(owner) for owner in valid}
    if valid:
        # Whose names those are cannot be told.
        kept.add(_INHERITED)
    for name in state.names(hosts_directory(network)):
        if name not in kept:
            _remove(network, name)
    stop_if_unused(network)


def stop_if_unused(network: str) -> None:
    """Have no dnsmasq, and no file of it, if nothing is served on `network`."""
    directory = _directory(network)
    _remove(network, ".unfinished")
    if is_used(network):
        return
    _stop(network)
    state.remove_if_empty(hosts_directory(network))
    for name in ("pid", "dnsmasq.conf", _SERVICE):
        state.delete(directory, name)
    state.remove_if_empty(directory)
    state.remove_if_empty(state.path(ROOM))


def is_used(network: str) -> bool:
    """Tell whether anything is served on `network`."""
    inherited = os.path.join(hosts_directory(network), _INHERITED)
    return shared.is_used(_users(network)) or os.path.lexists(inherited)


def reload(network: str) -> None:
    """Have dnsmasq read all files again, if it has missed a change of one."""
    with running(network) as process:
        if process is not None:
            process.send(signal.SIGHUP)


@contextmanager
def running(network: str) -> Iterator[Process | None]:
    """Yield the network's dnsmasq, or None when it does not run."""
    with processes.opened(_pid(network)) as process:
        ours = process is not None and (
            process.is_alive()
            and dnsmasq.is_ours(process.arguments(), _configuration(network))
        )
        yield process if ours else None


def hosts_directory(network: str) -> str:
    """Return the directory that dnsmasq must be able to read."""
    return os.path.join(_directory(network), _HOSTS)


def _stop(network: str) -> None:
    """Have no dnsmasq of `network`, even if its number was lost.

    An ADD that is killed leaves behind a dnsmasq which has yet to write its number.
    """
    if _end_running(network) or not os.path.lexists(_configuration(network)):
        return
    # One that was forking shows its child only the next time. One that had its child
    # ready ended meanwhile, but not before the number was written.
    while _end_strays(_configuration(network)):
        pass
    _end_running(network)


def _end_running(network: str) -> bool:
    with running(network) as process:
        if process is not None:
            process.end(_PATIENCE)
        return process is not None


def _end_strays(path: str) -> bool:
    """End what has the configuration at `path`; tell whether there was any."""
    found = False
    for number in processes.numbers():
        with processes.opened(number) as stray:
            # In another namespace the same path is another host's.
            if (
                stray is not None
                and stray.is_alive()
                and dnsmasq.is_ours(stray.arguments(), path)
                and stray.is_in_our_netns()
            ):
                stray.end(_PATIENCE)
                found = True
    return found


def _start(network: str, wanted: Service, executable: str) -> None:
    """`service` is written last: until then the next ADD starts dnsmasq anew."""
    directory = _directory(network)
    hosts = state.ensure_readable_directory(ROOM, _short(network), _HOSTS)
    with suppress(FileNotFoundError):
        os.unlink(os.path.join(directory, _SERVICE))
    text = dnsmasq.configuration(network, wanted, directory, hosts)
    state.write_text(directory, "dnsmasq.conf", text)
    _start_alone(executable, _configuration(network))
    document = {
        "links": list(wanted.links),
        "domain": wanted.domain,
        "remoteServers": list(wanted.remote_servers),
    }
    state.write(directory, _SERVICE, document)


def _start_alone(executable: str, path: str) -> None:
    """Start dnsmasq in the place of one that shows itself only now, or no more.

    An ADD that is killed may leave a child which has yet to become dnsmasq, when it
    has no configuration on its command line; it takes the port a moment later. One
    that is about to end has lost its command line before it gives the port back.
    """
    for pause in _PAUSES:
        try:
            dnsmasq.start(executable, path)
        except CNIError as error:
            if _IN_USE not in error.msg:
                raise
        else:
            return
        _end_strays(path)
        time.sleep(pause)
    dnsmasq.start(executable, path)


def _content(network: str, name: str) -> str | None:
    content = state.read_bytes(hosts_directory(network), name)
    return None if content is None else content.decode("utf-8", "replace")


def _remove(network: str, name: str) -> None:
    state.delete(hosts_directory(network), name)


def _pid(network: str) -> int:
    """Return the number in the pid file, which dnsmasq itself may write; 0 is none."""
    path = os.path.join(_directory(network), "pid")
    try:
        with open(path, "rb") as file:
            return int(file.read(_PID_DIGITS))
    except ValueError:
        return 0
    except OSError as error:
        if is_absence(error):
            return 0
        raise of_os(f"read {path}", error) from error


def _configuration(network: str) -> str:
    return os.path.join(_directory(network), "dnsmasq.conf")


def _directory(network: str) -> str:
    return state.path(ROOM, _short(network))


def _file(owner: Attachment) -> str:
    # dnsmasq passes over names with certain characters, and a link's may have them.
    return owner.digest(_HOSTS)


def _users(network: str) -> str:
    return f"{ROOM}/{_short(network)}/{_HOSTS}"


def _short(network: str) -> str:
    if len(network) <= state.NAME_MAX:
        return network
    return naming.Attachment(network, "", "").digest()
