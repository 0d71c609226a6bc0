# SPDX-License-Identifier: Apache-2.0
"""What a network's dnsmasq answers, asked from the host as a container would ask it.

dnsmasq learns of a new or removed file by inotify(7), before it takes the next
question. One that missed the event is told by SIGHUP to read all files again. That is
not done at once, since it answers nobody meanwhile: with 20,000 files for 3 seconds.
"""

from __future__ import annotations

import time

from cni_common.kernel.processes import SIGHUP
from cni_common.names import server
from cni_common.names.question import ask
from cni_common.spec.errors import CNIError, Code
from cni_common.spec.values import dataclass, replace

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from cni_common.parts.names import Names
    from cni_common.spec.fields import IPAddress

SILENCE = 10.0  # seconds without an answer; to start with 20,000 files takes 3
WRONG = 2.0  # seconds of wrong answers
_MISSED = 0.2  # seconds of wrong answers after which an event must have been missed
_PAUSE = 0.01
_ONE_ANSWER = 1.0
# Asked for where a container has no name: any answer will do. It is not forwarded.
_NOBODY = "cnipy-nobody"


@dataclass(frozen=True)
class Question:
    """Who is asked for which name, and the address that is expected."""

    at: IPAddress
    name: str
    address: IPAddress

    def put(self) -> set[IPAddress] | None:
        """Return the addresses of the answer, or None when there is no answer."""
        return ask(self.at, self.name, self.address.version, _ONE_ANSWER)

    def is_in(self, found: set[IPAddress]) -> bool:
        """Tell whether the address is in an answer."""
        return self.name == _NOBODY or self.address in found


def await_added(network: str, wanted: Names) -> None:
    """Return when each server gives each address of `wanted` for its first name.

    Raises Code.INTERNAL, telling what a server answers that does not.
    """
    for question in _questions(wanted):
        found = _await(network, question, SILENCE, given=True)
        _require(network, question, found)


def await_removed(network: str, wanted: Names) -> bool:
    """Return when no server gives an address of `wanted` for a name of it.

    False when one goes on giving it. One that does not answer gives nothing. A name
    without a dot is asked for, if there is one: no other server is asked for that.
    """
    names = sorted(wanted.names, key=lambda name: "." in name)
    for question in _questions(replace(wanted, names=tuple(names))) if names else ():
        found = _await(network, question, _ONE_ANSWER, given=False)
        if found is not None and question.is_in(found):
            return False
    return True


def check(network: str, wanted: Names) -> None:
    """Raise Code.INTERNAL unless each server gives each address for the first name."""
    for question in _questions(wanted):
        _require(network, question, question.put())


def _questions(wanted: Names) -> list[Question]:
    if not wanted.names:
        return [Question(at, _NOBODY, at) for at in wanted.servers]
    name, addresses = wanted.names[0], wanted.addresses
    return [Question(at, name, each) for at in wanted.servers for each in addresses]


def _await(
    network: str, question: Question, silence: float, *, given: bool
) -> set[IPAddress] | None:
    """Return the first answer that has the address, or has it not, or the last one."""
    began = time.monotonic()
    answered, reloaded = 0.0, False
    while True:
        found = question.put()
        now = time.monotonic()
        if found is None:
            if now - began > silence:
                return None
        elif question.is_in(found) == given:
            return found
        else:
            answered = answered or now
            if now - answered > WRONG:
                return found
            if now - answered > _MISSED and not reloaded:
                with server.running(network) as process:
                    if process is not None:
                        process.send(SIGHUP)
                reloaded = True
        time.sleep(_PAUSE)


def _require(network: str, question: Question, found: set[IPAddress] | None) -> None:
    if found is None:
        msg = f"ask dnsmasq at {question.at}: no answer"
        details = "a firewall must let the host itself reach port 53 there"
        raise CNIError(Code.INTERNAL, msg, details)
    if not question.is_in(found):
        given = ", ".join(sorted(map(str, found))) or "nothing"
        msg = f"ask dnsmasq at {question.at} for {question.name}: it gives {given}"
        directory = server.hosts_directory(network)
        details = f"its user must be able to read {directory}"
        raise CNIError(Code.INTERNAL, f"{msg}, not {question.address}", details)
