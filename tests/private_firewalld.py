# SPDX-License-Identifier: Apache-2.0
"""A real firewalld on a D-Bus of its own, in the namespaces of the test."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from jeepney import (
    DBusAddress,
    MatchRule,
    MessageType,
    message_bus,
    new_method_call,
)
from jeepney.io.blocking import DBusConnection, open_dbus_connection
from lab import PATIENCE, need, run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAME, PATH = "org.fedoraproject.FirewallD1", "/org/fedoraproject/FirewallD1"
SOCKET = "/run/dbus/system_bus_socket"
# As Debian's system bus has it: nobody may own a name, unless a file says so.
BUS = """<!DOCTYPE busconfig PUBLIC
 "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <auth>EXTERNAL</auth>
  <listen>unix:path={socket}</listen>
  <policy context="default">
    <allow user="*"/>
    <deny own="*"/>
    <deny send_type="method_call"/>
    <allow send_type="signal"/>
    <allow send_requested_reply="true" send_type="method_return"/>
    <allow send_requested_reply="true" send_type="error"/>
    <allow receive_type="method_call"/>
    <allow receive_type="method_return"/>
    <allow receive_type="error"/>
    <allow receive_type="signal"/>
    <allow send_destination="org.freedesktop.DBus"/>
  </policy>
  <include>/usr/share/dbus-1/system.d/FirewallD.conf</include>
</busconfig>
"""
CONFIGURATION = """DefaultZone=public
CleanupOnExit=yes
Lockdown=no
IPv6_rpfilter=yes
IndividualCalls=no
LogDenied=off
FirewallBackend=nftables
FlushAllOnReload=yes
RFC3964_IPv4=yes
"""


@contextmanager
def stopped(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Have the process stand still, as one that hangs."""
    process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.send_signal(signal.SIGCONT)


def end(process: subprocess.Popen[bytes]) -> None:
    """End the process, which may be gone already."""
    process.terminate()
    try:
        process.wait(10 * PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextmanager
def system_bus(
    directory: Path, socket: str = SOCKET
) -> Iterator[subprocess.Popen[bytes]]:
    """Have a bus that listens on `socket`, whose directory is gone afterwards."""
    daemon = need("dbus-daemon")
    configuration = directory / "bus.conf"
    configuration.write_text(BUS.format(socket=socket))
    os.makedirs(os.path.dirname(socket))
    words = [daemon, f"--config-file={configuration}", "--nofork", "--nopidfile"]
    process = subprocess.Popen(
        [*words, "--print-address"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline(), "dbus-daemon does not start"
        yield process
    finally:
        end(process)
        process.stdout.close()
        shutil.rmtree(os.path.dirname(socket))


@dataclass
class Firewalld:
    """firewalld with nothing but its defaults, in this network namespace."""

    directory: Path
    process: subprocess.Popen[bytes] = field(init=False)

    def start(self) -> None:
        """Have it on the bus."""
        configuration = self.directory / "etc"
        configuration.mkdir(exist_ok=True)
        (configuration / "firewalld.conf").write_text(CONFIGURATION)
        words = [need("firewalld"), "--nofork", "--nopid", "--log-target", "file"]
        words += ["--log-file", str(self.directory / "log")]
        words += ["--system-config", str(configuration)]
        self.process = subprocess.Popen(
            words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            await_service()
        except BaseException:
            end(self.process)
            raise

    def restart(self) -> None:
        """End it and start another one."""
        end(self.process)
        self.start()

    def command(self, *words: str) -> str:
        """Return what firewall-cmd prints."""
        return run(need("firewall-cmd"), *words).strip()

    def reload(self) -> None:
        """Have it make its rules anew, as `firewall-cmd --reload` without its hurry."""
        with connected() as bus:
            asked = new_method_call(DBusAddress(PATH, NAME, NAME), "reload")
            answer = bus.send_and_get_reply(asked, timeout=60 * PATIENCE)
        assert answer.header.message_type == MessageType.method_return, answer.body

    def bindings(self) -> list[str]:
        """Return what is bound to any zone, a line for each kind."""
        # firewalld 2 lists the default zone too, to which nothing need be bound.
        lines = self.command("--get-active-zones").splitlines()
        return [line.strip() for line in lines if line.startswith(" ")]

    def sources(self, zone: str = "trusted") -> set[str]:
        """Return the sources of a zone, as firewalld lists them."""
        address = DBusAddress(PATH, NAME, f"{NAME}.zone")
        with connected() as bus:
            asked = new_method_call(address, "getSources", "s", (zone,))
            return set(bus.send_and_get_reply(asked, timeout=20 * PATIENCE).body[0])


def connected() -> DBusConnection:
    """Return a connection to the bus, which is to let us in within a second."""
    return open_dbus_connection("SYSTEM", auth_timeout=PATIENCE)


def await_service() -> None:
    """Return when firewalld owns its name, and answers: its rules are there then."""
    rule = MatchRule(
        type="signal",
        sender="org.freedesktop.DBus",
        member="NameOwnerChanged",
        path="/org/freedesktop/DBus",
    )
    rule.add_arg_condition(0, NAME)
    with connected() as bus, bus.filter(rule) as owners:
        bus.send_and_get_reply(message_bus.AddMatch(rule), timeout=5 * PATIENCE)
        asked = message_bus.NameHasOwner(NAME)
        if not bus.send_and_get_reply(asked, timeout=5 * PATIENCE).body[0]:
            bus.recv_until_filtered(owners, timeout=20 * PATIENCE)
        asked = new_method_call(DBusAddress(PATH, NAME, NAME), "getDefaultZone")
        bus.send_and_get_reply(asked, timeout=20 * PATIENCE)


@contextmanager
def running(directory: Path) -> Iterator[Firewalld]:
    """Have firewalld on the bus, and its rules gone afterwards."""
    firewalld = Firewalld(directory)
    firewalld.start()
    try:
        yield firewalld
    finally:
        end(firewalld.process)
