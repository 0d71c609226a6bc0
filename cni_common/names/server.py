# SPDX-License-Identifier: Apache-2.0
"""A network's dnsmasq and the names it serves: one small file for each attachment.

/run/cni/cnipy/dnsname-servers/<network>/ holds dnsmasq.conf, its pid, `service` (what
it was started for) and hosts/, which dnsmasq watches. It runs as long as there is a
file in hosts/. All functions but `lock` are called with the lock held.
"""

from __future__ import annotations

import errno
import os
import time
from contextlib import contextmanager

from cni_common import shapes, state
from cni_common.attachment import shared
from cni_common.kernel import processes
from cni_common.names import dnsmasq
from cni_common.names.dnsmasq import Service
from cni_common.naming import Attachment
from cni_common.spec.errors import CNIError, is_absence, of_os

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from contextlib import AbstractContextManager

    from cni_common.kernel.processes import Process
    from cni_common.shapes import Table

ROOM = "dnsname-servers"
ADOPTED = "inherited"  # the file of containers that Podman's plugin attached
_SERVICE, _HOSTS = "service", "hosts"
_TABLE: Table = {
    "links": (shapes.listed(shapes.link), shapes.REQUIRED),
    "domain": (shapes.word, shapes.REQUIRED),
    "remoteServers": (shapes.listed(shapes.address), shapes.REQUIRED),
    "domainServer": (shapes.word, ""),
    "pools": (shapes.listed(shapes.network), ()),
}
_PATIENCE = 5.0  # seconds until a dnsmasq that does not end is killed
_PID_DIGITS = 20
_IN_USE = os.strerror(errno.EADDRINUSE)
_PAUSES = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32)  # seconds until the port is free


def lock() -> AbstractContextManager[bool]:
    """Hold what all servers and their files are changed under."""
    return state.lock("dnsname")


def service(network: str) -> Service | None:
    """Return what the network's dnsmasq was started for, or None if it was not."""
    document = state.read_table(_directory(network), _SERVICE, _TABLE)
    return Service(*(document[key] for key in _TABLE)) if document else None


def ensure(network: str, wanted: Service, env: Mapping[str, str]) -> None:
    """Ensure that dnsmasq runs for `wanted`: a dead one, or another, is started anew.

    Raises Code.INTERNAL.
    """
    if service(network) == wanted and is_running(network):
        return
    _stop(network)
    _start(network, wanted, dnsmasq.find(env))


def file_of(attachment: Attachment) -> str:
    """Return the name of the file in hosts/ that is the attachment's."""
    # dnsmasq passes over names with certain characters, and a link's may have them.
    return attachment.digest(_HOSTS)


def publish(network: str, file: str, text: str | None) -> None:
    """Serve `text`, in the format of hosts(5), as the `file` of its owner.

    None: serve no such file, and end dnsmasq if it was the last.
    """
    if text is None:
        shared.let_go(_users(network), file)
        _stop_if_unused(network)
    else:
        directory = state.ensure_readable_directory(ROOM, _short(network), _HOSTS)
        state.write_text(directory, file, text, 0o644)


def published(network: str, file: str) -> str | None:
    """Return what is served as `file`, or None."""
    content = state.read_bytes(hosts_directory(network), file)
    return None if content is None else content.decode("utf-8", "replace")


def collect(network: str, valid: Collection[tuple[str, str]]) -> None:
    """Serve nothing on `network` but for the `valid` attachments; for GC."""
    kept = {file_of(Attachment(network, *identity)) for identity in valid}
    if valid:
        # Whose names those are cannot be told.
        kept.add(ADOPTED)
    for name in state.names(hosts_directory(network)):
        if name not in kept:
            state.delete(hosts_directory(network), name)
    _stop_if_unused(network)


def _stop_if_unused(network: str) -> None:
    """End dnsmasq, and remove its files, if nothing is served on `network`."""
    directory = _directory(network)
    state.delete(hosts_directory(network), ".unfinished")
    if is_used(network):
        return
    _stop(network)
    state.remove_if_empty(hosts_directory(network))
    for name in ("pid", "dnsmasq.conf", _SERVICE):
        state.delete(directory, name)
    state.remove_if_empty(directory)
    state.remove_if_empty(state.path(ROOM))


def end_lost(network: str) -> None:
    """End the network's dnsmasq, of which no file tells: its command line does."""
    _end_strays(_configuration(network))


def is_used(network: str) -> bool:
    """Tell whether anything is served on `network`."""
    adopted_names = os.path.join(hosts_directory(network), ADOPTED)
    return shared.is_used(_users(network)) or os.path.lexists(adopted_names)


def is_running(network: str) -> bool:
    """Tell whether the network's dnsmasq runs, in our network namespace."""
    with running(network) as process:
        return process is not None and process.is_in_our_netns()


@contextmanager
def running(network: str) -> Iterator[Process | None]:
    """Yield the network's dnsmasq, or None when it does not run."""
    with processes.opened(_pid(network)) as process:
        yield process if _is_ours(process, _configuration(network)) else None


def hosts_directory(network: str) -> str:
    """Return the directory that dnsmasq must be able to read."""
    return os.path.join(_directory(network), _HOSTS)


def _stop(network: str) -> None:
    """End the dnsmasq of `network`, even if its number was lost.

    An ADD that is killed leaves behind a dnsmasq which has yet to write its number.
    """
    if _end_running(network) or not os.path.lexists(_configuration(network)):
        return
    # One that was forking shows its child only the next time. One that had its child
    # ready ended meanwhile, but not before the number was written.
    while _end_strays(_configuration(network)) or _end_running(network):
        pass


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
            if stray and _is_ours(stray, path) and stray.is_in_our_netns():
                stray.end(_PATIENCE)
                found = True
    return found


def _is_ours(process: Process | None, path: str) -> bool:
    """Tell whether it is a living dnsmasq with the configuration at `path`."""
    if process is None or not process.is_alive():
        return False
    return dnsmasq.is_ours(process.arguments(), path)


def _start(network: str, wanted: Service, executable: str) -> None:
    """`service` is written last: until then the next ADD starts dnsmasq anew."""
    directory = _directory(network)
    hosts = state.ensure_readable_directory(ROOM, _short(network), _HOSTS)
    state.delete(directory, _SERVICE)
    text = dnsmasq.configuration(network, wanted, directory, hosts)
    state.write_text(directory, "dnsmasq.conf", text)
    _start_alone(executable, _configuration(network))
    servers, pools = (
        [str(each) for each in every] for every in (wanted.remote_servers, wanted.pools)
    )
    links, to = list(wanted.links), wanted.domain_server
    values = (links, wanted.domain, servers, to, pools)
    state.write(directory, _SERVICE, dict(zip(_TABLE, values, strict=True)))


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


def _users(network: str) -> str:
    return f"{ROOM}/{_short(network)}/{_HOSTS}"


def _short(network: str) -> str:
    if len(network) <= state.NAME_MAX:
        return network
    return Attachment(network, "", "").digest()
