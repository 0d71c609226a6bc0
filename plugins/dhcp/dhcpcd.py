# SPDX-License-Identifier: Apache-2.0
"""The program dhcpcd(8), which keeps one DHCPv6 lease in a container's namespace.

It has its files by the name of the link, which all containers call alike: so each has
`run` and `db` of a directory of its own in the place of dhcpcd's.
"""

from __future__ import annotations

import os
from functools import partial
from ipaddress import IPv6Address

from cni_common import programs, state
from cni_common.kernel import mounts, processes
from cni_common.spec.errors import CNIError, Code, cause_of
from plugins.dhcp import domains

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cni_common.kernel.processes import Process

NAME = "dhcpcd"
PACKAGE = "dhcpcd-base, or dhcpcd"
_RUN = "/run/dhcpcd"
_DATABASES = ("/var/lib/dhcpcd", "/var/db/dhcpcd")  # Debian's, and what it is by itself
_ADDRESSES, _SERVERS, _DOMAINS = 3, 23, 24  # options: IA_NA (RFC 8415), RFC 3646
_ADDRESS = 5  # IAADDR, within the first
_HEAD, _HEAD_OF_ADDRESSES = 4, 12  # bytes


def find(env: Mapping[str, str]) -> str:
    """Return the path of the program; raises Code.INTERNAL without one."""
    return programs.find(NAME, PACKAGE, env)


def prepare(directory: str, duid: bytes, seconds: int) -> None:
    """Have the files in `directory` of a client that is known by `duid`.

    It asks for so many seconds. Raises CNIError.
    """
    lines = (
        "duid",
        "ipv6only",
        "noipv6rs",  # the kernel listens to routers
        "ia_na 1",
        "option dhcp6_name_servers, dhcp6_domain_search",
        f"timeout {seconds}",
        "persistent",  # the address does not go with a dhcpcd that is killed
        "nodev",
        "script /bin/true",
    )
    state.write_text(directory, "conf", "".join(f"{line}\n" for line in lines))
    state.write_text(os.path.join(directory, "db"), "duid", duid.hex(":") + "\n")


def start(executable: str, directory: str, link: str) -> None:
    """Return when dhcpcd has a lease for `link`, in the thread's namespace.

    It stays in the background. Raises Code.TRY_AGAIN_LATER and Code.INTERNAL.
    """
    from cni_common.frame.execute import execute  # noqa: PLC0415 - not on every call

    database = next(filter(os.path.isdir, _DATABASES), _DATABASES[0])
    places = {_RUN: f"{directory}/run", database: f"{directory}/db"}
    command = [executable, "-f", f"{directory}/conf", "-6", "-w", link]
    try:
        os.makedirs(_RUN, exist_ok=True)
        status, _, words = execute(
            command, b"", programs.ENV, partial(mounts.see_in_place, places)
        )
    except OSError as error:
        msg = f"start dhcpcd: {cause_of(error)}"
        raise CNIError(Code.INTERNAL, msg) from error
    if status != 0:
        msg = f"lease IPv6 address for {link}: {_cause(words) or f'status {status}'}"
        raise CNIError(Code.TRY_AGAIN_LATER, msg)


def _cause(words: bytes) -> str:
    """Return why dhcpcd failed, of all that it said."""
    said = words.decode("utf-8", "replace").replace("dhcpcd exited", "").splitlines()
    last = next(filter(None, reversed(said)), "")
    return "no server answered" if "timed out" in said else last


def pid(directory: str) -> int:
    """Return the number of the dhcpcd that has the directory; 0 is none."""
    where = os.path.join(directory, "run")
    for name in state.names(where):
        if name.endswith(".pid"):
            text = (state.read_bytes(where, name) or b"").strip()
            return int(text) if text.isdigit() else 0
    return 0


def found(directory: str) -> list[int]:
    """Return the numbers of each dhcpcd that has the directory, by what it mounts.

    So one is found of which no file tells; one of another file system that has a
    directory of the same name, as of a runtime in a container, is not. Raises CNIError.
    """
    device = _file_system(directory)
    namespaces: dict[int, str] = {}
    owned = set()
    for number in processes.numbers():
        with processes.opened(number) as process:
            if process is not None and process.name() == NAME:
                namespaces[number] = process.mount_namespace()
                if _has(process, directory, device):
                    owned.add(namespaces[number])
    own = [number for number, where in namespaces.items() if where in owned]
    # Its helpers, of which one alone need shows the mounts, end with it.
    return [number for number in own if processes.parent(number) not in own]


def _file_system(directory: str) -> str:
    """Return the device numbers of what the directory lies on, or did."""
    with processes.opened(os.getpid()) as own:
        mounted = own.mounted() if own else []
    above = [
        (len(place), number, device)
        for number, (device, _, place) in enumerate(mounted)
        if f"{directory}/".startswith(f"{place.rstrip('/')}/")
    ]
    return max(above)[2] if above else ""  # of two at one place the later is seen


def _has(process: Process, directory: str, device: str) -> bool:
    """Tell whether the process has the directory, be it removed, as its own."""
    source = os.path.join(*directory.split("/")[-2:], "run")
    return any(
        place == _RUN
        and of == device
        and root.removesuffix("//deleted").endswith(f"/{source}")
        for of, root, place in process.mounted()
    )


def lease(directory: str, link: str) -> dict[int, bytes]:
    """Return the options of the lease for `link`, as the server gave them, by code."""
    where = os.path.join(directory, "db")
    content = state.read_bytes(where, f"{link}.lease6") or b""
    return dict(_options(content[_HEAD:]))


def address(options: Mapping[int, bytes]) -> IPv6Address | None:
    """Return the (first) address of a lease."""
    inner = dict(_options(options.get(_ADDRESSES, b"")[_HEAD_OF_ADDRESSES:]))
    held = inner.get(_ADDRESS, b"")[:16]
    return IPv6Address(held) if len(held) == 16 else None  # noqa: PLR2004 - IPv6


def name_servers(options: Mapping[int, bytes]) -> list[str]:
    """Return the addresses of name servers."""
    held = options.get(_SERVERS, b"")
    starts = range(0, len(held) // 16 * 16, 16)
    return [str(IPv6Address(held[at : at + 16])) for at in starts]


def search(options: Mapping[int, bytes]) -> list[str]:
    """Return the domains that names are looked for in."""
    return domains.listed(options.get(_DOMAINS, b""))


def _options(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield options with their codes, up to one that is cut short."""
    at = 0
    while at + _HEAD <= len(content):
        code = int.from_bytes(content[at : at + 2], "big")
        size = int.from_bytes(content[at + 2 : at + _HEAD], "big")
        held = content[at + _HEAD : at + _HEAD + size]
        if len(held) != size:
            return
        yield code, held
        at += _HEAD + size
