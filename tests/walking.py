# SPDX-License-Identifier: Apache-2.0
"""A plugin each of whose calls to the kernel fails in turn, or is its last one."""

from __future__ import annotations

import io
import json
import os
import re
import signal
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import supervised
from choosing import WHOLE, Chosen
from lab import Answer, run
from walk_cases import Attachment, Case
from world import World, all_parameters, difference, plain, world

from cni_common.spec.errors import last_words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from choosing import Errors
    from lab import Cni, Host, Space
    from system_calls import Call

_MOST = 20_000 if WHOLE else 600
_EXCEPTION = re.compile(r"^[A-Z]\w*(Error|Exception|Interrupt|Exit|Expired)\b")
STRANDED = "return to the host's network namespace"
_VALID = "cni.dev/valid-attachments"


class _Heard(io.BytesIO):
    """A stdout that is heard in a pipe, too, whatever becomes of the process."""

    def __init__(self, pipe: int) -> None:
        super().__init__()
        self.pipe = pipe

    def write(self, data: Any) -> int:
        os.write(self.pipe, data)
        return super().write(data)


@dataclass
class Walk:
    """A case that is tried again and again, each time with another failure."""

    case: Case
    it: Attachment
    spaces: tuple[Space, ...]
    valid: list[dict[str, str]]
    before: World = field(default_factory=dict)
    settled: World = field(default_factory=dict)
    attached: World = field(default_factory=dict)
    findings: list[str] = field(default_factory=list)
    where: str = ""
    tried: int = 0
    parameters: set[str] = field(default_factory=set)
    heard: tuple[int, int] = field(default_factory=lambda: os.pipe2(os.O_NONBLOCK))

    def end(self) -> None:
        """Give back what is held."""
        for each in self.heard:
            os.close(each)

    def call(self, verb: str) -> Answer:
        """Return the answer to a call that nothing befalls."""
        keys = {_VALID: self.valid} if verb == "GC" else {}
        return self.it.call(verb, self.case.conf, **keys)

    def ok(self, verb: str) -> bool:
        """Make a call that must succeed; tell whether it did."""
        answer = self.call(verb)
        if answer.status:
            self.find(f"{verb} afterwards fails: {answer.stdout}{answer.stderr}")
        return not answer.status

    def find(self, what: str) -> None:
        """Write down something that must not be."""
        self.findings.append(f"{self.where}\n    {what.strip()}")

    def look(self) -> World:
        """Return what there is."""
        return world(self.parameters, *self.spaces)

    def settle(self) -> None:
        """See what is before, and what an ADD and DEL without failure leave.

        Which parameters are to be looked at is seen from what they write.
        """
        self.where = "without a failure"
        self.ok("STATUS")
        for verb in ("ADD", "DEL"):
            ended, answer = self._supervised(verb, lambda *_: None)
            assert answer is not None
            assert answer.status == 0, (verb, answer.stdout, answer.stderr)
            if verb == "ADD":
                self.it.results.append(answer.document)
            writes = (call.what for call in ended.calls if call.name == "write")
            self.parameters |= {path for path in writes if path[:9] == "/proc/sys"}
            if verb == "ADD":
                self.attached = self.look()
        self.it.results.pop()
        # What is imported at first use is so now, and not in each of the processes.
        self.attach()
        for verb in ("CHECK", "GC"):
            self.ok(verb)
        self.detach()
        self.settled = self.look()

    def attach(self) -> None:
        """Make the ADD, and have its result for the verbs that follow."""
        answer = self.call("ADD")
        assert answer.status == 0, (self.where, answer.stdout, answer.stderr)
        self.it.results.append(json.loads(answer.stdout))

    def detach(self) -> None:
        """Make the DEL."""
        answer = self.call("DEL")
        if answer.status or answer.stdout:
            self.find(f"DEL: {answer.stdout}{answer.stderr}")
        self.it.results.pop()

    def repeat(self) -> None:
        """Make an ADD that must be whole, though one before it was killed."""
        answer = self.call("ADD")
        if answer.status:
            self.find(f"ADD afterwards fails: {answer.stdout}{answer.stderr}")
        elif self.case.before:  # else the kernel gives names, and leases are others
            left = difference(plain(self.attached), plain(self.look()))
            if left:
                self.find(f"unlike an ADD alone: {left}")
        self.check(answer)

    def check(self, answer: Answer | None) -> None:
        """Have CHECK find all of an ADD that succeeded."""
        if answer and not answer.status:
            self.it.results.append(answer.document)
            self.ok("CHECK")
            self.it.results.pop()

    def repeat_earlier(self) -> None:
        """Have the container attached with the earlier configuration, if there is."""
        if self.case.earlier is not None:
            answer = self.it.call("ADD", self.case.earlier)
            assert answer.status == 0, (self.where, answer.stdout, answer.stderr)

    def compare(self, *allowed: World, what: str) -> World:
        """Find what differs from all that is allowed; return what there is."""
        after = self.look()
        # A bridge, and forwarding, stay as they are once they are there.
        stays = {k: v for k, v in self.settled.items() if self.before.get(k) != v}
        passing = re.compile("|".join(rf"\b{n}\b" for n in _links(stays)) or "$^")
        strange = {
            key
            for key in set(after).union(*allowed)
            if all(after.get(key) != each.get(key) for each in allowed)
            and not (len(allowed) > 1 and passing.search(key))
        }
        if strange:
            seen = [
                {key: each.get(key) for key in strange} for each in (*allowed, after)
            ]
            self.find(f"{what}: {difference(seen[0], seen[-1])}")
        return after

    def restore(self, after: World) -> None:
        """Have all as it was before, where a DEL leaves by design what many share."""
        if self.case.earlier is not None:
            self.repeat_earlier()
            self.before = self.look()  # what is made anew has another MAC
        elif after != self.before:
            self._restore(after)

    def _restore(self, after: World) -> None:
        self.case.again()
        for key, value in self.before.items():
            if after.get(key) != value and key.startswith("host /proc/sys/"):
                with suppress(OSError), open(key.partition(" ")[2], "wb") as file:
                    file.write(value)
        for name in _links(after) - _links(self.before):
            run("ip", "link", "delete", name, check=False)
        left = difference(self.before, self.look())
        assert not left, "\n".join([*self.findings, self.where, left])

    def each(self, verb: str, errors: Errors) -> Iterator[Answer | None]:
        """Yield the answers to calls of `verb`, each with another failure.

        None stands for a process that was killed.
        """
        tried: set[str] = set()
        while len(tried) < _MOST:
            chosen = Chosen(f"{self.case} {verb}", errors, tried)
            _, answer = self._supervised(verb, chosen)
            if not chosen.where:
                return
            if answer and answer.status:
                self.check_error(answer)
            yield answer
        self.find(f"after {_MOST} calls there are still others")

    def _supervised(
        self, verb: str, decide: Callable[[int, Call], supervised.Verdict]
    ) -> tuple[supervised.Supervised, Answer | None]:
        """Make a call in a process of its own; of each system call `decide` decides."""
        ended = supervised.run(partial(self._spoken, verb), decide)
        said = ""
        with suppress(BlockingIOError):
            said = os.read(self.heard[0], 1 << 16).decode()
        if isinstance(decide, Chosen) and decide.where:
            self.where = f"{self.case} {verb}: {decide}"
            self.tried += 1
        return ended, self._answer(ended, said)

    def _spoken(self, verb: str) -> bytes:
        last_words.append(lambda _: os._exit(1))  # as launcher/main.py has it
        self.it.cni.stdout = lambda: _Heard(self.heard[1])
        answer = self.call(verb)
        return json.dumps([answer.status, answer.stdout, answer.stderr]).encode()

    def _answer(self, ended: supervised.Supervised, said: str) -> Answer | None:
        if ended.is_killed and ended.status == -signal.SIGKILL:
            return None
        if ended.status not in {0, 1}:
            self.find(f"the process ended with {ended.status}")
            return None
        # libnftables may end it, which then has said why.
        words = [1, said, ""] if ended.status else json.loads(ended.output)
        return Answer(*words)

    def check_error(self, answer: Answer) -> None:
        """Find what is wrong with how a failure is told."""
        try:
            document = json.loads(answer.stdout)
            msg, _ = document["msg"], document["code"]
        except (ValueError, KeyError, TypeError):
            self.find(f"no error document: {answer.stdout!r} {answer.stderr}")
            return
        if _EXCEPTION.match(msg) or "Traceback" in answer.stderr:
            self.find(f"an exception is told: {msg} ({_raised_at(answer.stderr)})")


def _raised_at(traceback: str) -> str:
    """Return the innermost functions of a traceback, the last one first."""
    found = re.findall(r'File ".*/(\S+\.py)", line (\d+), in (\w+)', traceback)
    return " < ".join(":".join(each) for each in reversed(found[-5:]))


def _links(seen: World) -> set[str]:
    found = (re.match(r"host -4 0 ([^.]+)\.", key) for key in seen)
    return {match[1] for match in found if match}


def begin(case: Case, host: Host, cni: Cni) -> Walk:
    """Return a walk of `case` on a host where all is prepared for it."""
    case.needs()
    valid, spaces = [], [host.space()]
    case.prepare(host)
    it = Attachment(cni, spaces[0], "c1", case.args, case.ifname)
    it.add(*case.before)
    if case.neighbour:
        spaces.append(host.space())
        other = Attachment(
            cni, spaces[1], "c2", "IgnoreUnknown=1;K8S_POD_NAME=other", case.ifname
        )
        other.add(*case.before, _of_neighbour(case.conf))
        valid = [{"containerID": "c2", "ifname": case.ifname}]
    if case.earlier is not None:
        answer = it.call("ADD", case.earlier)
        assert answer.status == 0, answer.stdout
    walk = Walk(case, it, tuple(host.spaces), valid)
    walk.before = world(all_parameters(*walk.spaces), *walk.spaces)
    walk.settle()
    walk.before = {
        key: value
        for key, value in walk.before.items()
        if "/proc/sys/" not in key or key.partition(" ")[2] in walk.parameters
    }
    walk.restore(walk.settled)
    walk.before = walk.look()
    return walk


def _of_neighbour(conf: dict[str, Any]) -> dict[str, Any]:
    """Return the configuration for another container: host ports are not shared."""
    text = json.dumps(conf).replace('"hostPort": 8081', '"hostPort": 9999')
    return dict(json.loads(text))
