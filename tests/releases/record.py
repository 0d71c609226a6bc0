# SPDX-License-Identifier: Apache-2.0
"""Record what a release leaves on a host: a file for each attachment of EXAMPLES.

As root, from the top of the repository, with a packed file of that very release:

    ./build.sh build
    PYTHONPATH=.:tests .venv/bin/python -m tests.releases.record dist/bin [EXAMPLE...]

It is made in namespaces of its own and written to tests/releases/<version>/, where
nothing is replaced.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from lab import Host, Space, run
from netns.host_device import helpers as host_device

from plugins import REGISTER, VERSION
from tests.releases.attachments import EXAMPLES, Example
from tests.releases.called import Container
from tests.releases.observed import HOST, world
from tests.releases.placeholders import concealed

PRIVATE = ("unshare", "-m", "-n", "--propagation", "private")
INSIDE = "--inside"
LINE = 100
ROOMS = ("/run", "/var/lib/cni", "/var/cache")


def main(directory: str, *wanted: str) -> None:
    """Record the examples, each in a process with namespaces of its own."""
    for name in wanted or EXAMPLES:
        path = Path(__file__).with_name(VERSION) / f"{name}.json"
        if path.exists():
            sys.exit(f"{path} is there: what a release left does not change")
        words = (sys.executable, "-m", "tests.releases.record", INSIDE, directory, name)
        text = run(*PRIVATE, *words)
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)


def record(directory: Path, example: Example) -> str:
    """Return what this release makes of an example; the process is in a new host."""
    for room in ROOMS:
        run("mount", "-t", "tmpfs", "-o", "mode=0755", "tmpfs", room)
    os.makedirs("/run/netns")
    run("ip", "link", "set", "lo", "up")
    run("ip", "netns", "attach", HOST, str(os.getpid()))
    host = Host()
    spaces = {HOST: Space(HOST), "outside": host.outside(), "c1": host.space()}
    if example.device:
        spaces["rack5"] = host_device.wired(host, "ens5", 5)
        spaces["rack6"] = host_device.wired(host, "ens6", 6)
        run("ip", "link", "set", "ens6", "address", "02:00:00:00:06:06")
    before = world(spaces)
    one = Container(Packed(directory), spaces["c1"], "c1", example.plugins)
    one.add()
    one.check()
    document = {
        "nft": run("nft", "--version").strip(),
        "plugins": example.plugins,
        **({"beside": example.beside} if example.beside else {}),
        "results": concealed(one.results, spaces),
        "before": before["spaces"][HOST],
        "world": world(spaces),
    }
    one.delete()
    return portable(document)


def portable(document: dict[str, Any]) -> str:
    """Return it as text; nothing of here is in it."""
    text = _in_lines(document)
    for foreign in ("/run/netns", os.getcwd(), '"4:'):
        assert foreign not in text, foreign
    return text + "\n"


def _in_lines(value: Any, indent: str = "") -> str:
    """Return JSON for people: what is short stands in one line."""
    line = json.dumps(value, ensure_ascii=False)
    if len(line) + len(indent) <= LINE or not isinstance(value, (list, tuple, dict)):
        return line
    deeper = f"{indent} "
    if isinstance(value, dict):
        parts = [f"{json.dumps(key)}: {_in_lines(value[key], deeper)}" for key in value]
        opening, closing = "{}"
    else:
        parts = [_in_lines(item, deeper) for item in value]
        opening, closing = "[]"
    inside = f",\n{deeper}".join(parts)
    return f"{opening}\n{deeper}{inside}\n{indent}{closing}"


class Packed:
    """Calls the plugins of a packed file as a runtime does."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory.resolve()
        assert set(REGISTER) <= set(os.listdir(self.directory))

    def __call__(
        self,
        plugin: str,
        command: str,
        conf: dict[str, Any],
        *,
        netns: str,
        container_id: str,
        ifname: str,
    ) -> Any:
        """Return the document of a call, which must succeed."""
        env = {
            "CNI_COMMAND": command,
            "CNI_CONTAINERID": container_id,
            "CNI_NETNS": netns,
            "CNI_IFNAME": ifname,
            "CNI_PATH": str(self.directory),
            "PATH": os.environ["PATH"],
        }
        ended = subprocess.run(
            [self.directory / plugin],
            input=json.dumps(conf),
            env=env,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.returncode == 0, f"{plugin}: {ended.stdout}{ended.stderr}"
        return json.loads(ended.stdout) if ended.stdout else None


if __name__ == "__main__":
    if sys.argv[1:2] == [INSIDE]:
        _, _, bin_directory, chosen = sys.argv
        sys.stdout.write(record(Path(bin_directory), EXAMPLES[chosen]))
    else:
        main(*sys.argv[1:])
