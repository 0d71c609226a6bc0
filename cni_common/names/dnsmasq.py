# SPDX-License-Identifier: Apache-2.0
"""The program dnsmasq(8): where it is, how it is configured, how it is started."""

from __future__ import annotations

from cni_common import programs
from cni_common.spec.characters import ALPHANUMERIC, consists_of
from cni_common.spec.errors import CNIError, Code, cause_of
from cni_common.spec.values import dataclass

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Mapping

    from cni_common.spec.fields import IPAddress, IPNetwork

PROGRAM = "dnsmasq"
USER = "dnsmasq"


@dataclass(frozen=True)
class Service:
    """What a network's dnsmasq does: the links that it serves, its own domain, and
    where other names are asked for; without `remote_servers` the host's resolv.conf
    tells that. Names of the domain and addresses of `pools` that it does not know are
    asked for at `domain_server`, if there is one.
    """

    links: tuple[str, ...]
    domain: str = ""
    remote_servers: tuple[IPAddress, ...] = ()
    domain_server: str = ""
    pools: tuple[IPNetwork, ...] = ()


def check_link(name: str) -> None:
    """Raise Code.INVALID_CONFIG for a link that dnsmasq cannot be told by name."""
    # In dnsmasq's configuration "*" is any text, "," separates, "#" begins a comment.
    if not consists_of(name, ALPHANUMERIC + "_.-"):
        msg = f"serve names on link {name!r}: dnsmasq cannot be told its name"
        raise CNIError(Code.INVALID_CONFIG, msg)


def configuration(network: str, service: Service, directory: str, hosts: str) -> str:
    """Return the text of dnsmasq.conf; `hosts` is the directory that it watches."""
    lines = [
        f"# Names of the CNI network {network}. The plugin dnsname rewrites this file.",
        f"pid-file={directory}/pid",
        "bind-dynamic",
        *(f"interface={link}" for link in service.links),
        "except-interface=lo",
        "no-hosts",
        f"hostsdir={hosts}",
        # Names without a dot; "domain-needed" would hold back their A and AAAA only.
        "local=//",
        "strict-order",
    ]
    if _has_user():
        lines.append(f"user={USER}")
    if service.domain:
        kind = "server" if service.domain_server else "local"
        lines.append(f"{kind}=/{service.domain}/{service.domain_server}")
    if service.domain_server:
        to = service.domain_server
        lines += [f"rev-server={pool},{to}" for pool in service.pools]
    if service.remote_servers:
        lines.append("no-resolv")
        lines += [f"server={server}" for server in service.remote_servers]
    return "\n".join([*lines, ""])


def command(executable: str, path: str) -> list[str]:
    """Return the command line with the configuration at `path`: our mark on it."""
    return [executable, f"--conf-file={path}"]


def is_ours(arguments: list[str], path: str) -> bool:
    """Tell whether a command line is of a dnsmasq with the configuration at `path`."""
    return arguments[1:] == command("", path)[1:]


def find(env: Mapping[str, str]) -> str:
    """Return the path of the program; raises Code.INTERNAL without one."""
    return programs.find(PROGRAM, "dnsmasq-base, or dnsmasq", env)


def start(executable: str, path: str) -> None:
    """Start dnsmasq in the background, ready to answer; raises Code.INTERNAL."""
    status, words = _run(command(executable, path))
    if status != 0:
        # The cause stands behind an empty line and the program's name.
        cause = words.strip().removeprefix("dnsmasq:").strip()
        msg = f"start dnsmasq: {cause or f'exit status {status}'}"
        raise CNIError(Code.INTERNAL, msg, f"configuration {path}")


def check_watches(executable: str) -> None:
    """Raise Code.INTERNAL for a program that cannot watch a directory."""
    _, words = _run([executable, "--version"])
    if "no-inotify" in words.split():
        msg = f"use {executable}: it was built without inotify"
        raise CNIError(Code.INTERNAL, msg)


def _has_user() -> bool:
    """Tell whether there is a user for dnsmasq alone; otherwise it becomes nobody."""
    import pwd  # noqa: PLC0415 - only when a server is started

    try:
        pwd.getpwnam(USER)
    except KeyError:
        return False
    return True


def _run(words: list[str]) -> tuple[int, str]:
    from cni_common.frame.execute import execute  # noqa: PLC0415 - not on every call

    try:
        status, output, errors = execute(words, b"", programs.ENV)
    except OSError as error:
        cause = cause_of(error)
        msg = f"execute {words[0]}: {cause}"
        raise CNIError(Code.INTERNAL, msg) from error
    return status, (output + errors).decode("utf-8", "replace")
