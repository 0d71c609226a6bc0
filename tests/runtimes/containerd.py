# SPDX-License-Identifier: Apache-2.0
"""containerd 1.6 in a sandbox, driven by its CRI service and by ctr."""

import re
import struct
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from lab import PATIENCE

from tests.runtimes.protobuf import field, fields, text
from tests.runtimes.sandbox.image import write_image
from tests.runtimes.sandbox.machine import Completed, Sandbox, wait_for

IMAGE = "localhost/pod:latest"
SOCKET = "/run/lab/containerd.sock"
CONFIG = """
version = 2
root = "/run/lab/containerd-root"
state = "/run/lab/containerd-state"
[grpc]
  address = "/run/lab/containerd.sock"
[plugins."io.containerd.internal.v1.opt"]
  path = "/run/lab/containerd-opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/pod:latest"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{plugins}"
    conf_dir = "/etc/cni/net.d"
"""


@dataclass(frozen=True)
class CRIError(Exception):
    """A call of the CRI service ended with a gRPC status other than 0."""

    method: str
    status: str


@dataclass(frozen=True)
class Pod:
    """A running pod sandbox."""

    identity: str
    address: str
    netns: str


class Containerd:
    """The daemon and its clients; /etc/cni/net.d of the sandbox is its conf_dir."""

    def __init__(self, sandbox: Sandbox, plugin_directory: str) -> None:
        self.sandbox = sandbox
        config = CONFIG.format(plugins=plugin_directory)
        sandbox.write("/run/lab/containerd.toml", config)
        write_image(sandbox.path("/run/lab/pod.tar"), IMAGE)
        self.start()
        for namespace in ("k8s.io", "default"):
            self.ctr("-n", namespace, "images", "import", "/run/lab/pod.tar")

    def start(self) -> None:
        """The daemon runs and answers."""
        words = ("containerd", "-c", "/run/lab/containerd.toml")
        self.sandbox.start("containerd", *words)
        wait_for(
            lambda: self.ctr("version", check=False).returncode == 0,
            "containerd to answer",
        )

    def restart(self) -> None:
        """The daemon is another one; pods were not touched."""
        self.sandbox.stop("containerd")
        self.start()

    def ctr(self, *words: str, check: bool = True) -> Completed:
        """Run the ctr command."""
        return self.sandbox.run("ctr", "-a", SOCKET, *words, check=check)

    def call(self, method: str, message: bytes = b"") -> bytes:
        """Return the answer of one unary gRPC call of the CRI RuntimeService.

        Raises CRIError.
        """
        headers = self.sandbox.path(f"/run/lab/headers-{id(message)}")
        words = ["curl", "-sS", "--http2-prior-knowledge", "-m", str(60 * PATIENCE)]
        words += ["--unix-socket", str(self.sandbox.path(SOCKET))]
        words += ["-H", "content-type: application/grpc", "-H", "te: trailers"]
        words += ["-D", str(headers), "--data-binary", "@-"]
        done = subprocess.run(
            [*words, f"http://localhost/runtime.v1.RuntimeService/{method}"],
            input=b"\0" + struct.pack(">I", len(message)) + message,
            capture_output=True,
            check=False,
        )
        lines = headers.read_text().splitlines()
        headers.unlink()
        status = [line for line in lines if line.lower().startswith("grpc-")]
        if not any(line.split() == ["grpc-status:", "0"] for line in status):
            raise CRIError(method, f"{status} {done.stderr.decode()}")
        return done.stdout[5:]

    def run_pod(
        self,
        name: str,
        ports: Mapping[int, int] | None = None,
        annotations: Mapping[str, str] | None = None,
    ) -> Pod:
        """Start a pod sandbox that serves a page; `ports` is host to container."""
        config = field(1, field(1, name) + field(2, f"uid-{name}") + field(3, "test"))
        config += field(2, name)
        for host, inside in (ports or {}).items():
            config += field(5, field(2, inside) + field(3, host))
        for key, value in (annotations or {}).items():
            config += field(7, field(1, key) + field(2, value))
        namespaces = field(1, field(1, 0))
        parent = field(1, f"/{self.sandbox.cgroup}")
        config += field(8, parent + field(2, namespaces))
        identity = text(self.call("RunPodSandbox", field(1, config)), 1)
        return self.pod(identity)

    @contextmanager
    def running(
        self,
        name: str,
        ports: Mapping[int, int] | None = None,
        annotations: Mapping[str, str] | None = None,
    ) -> Iterator[Pod]:
        """Run a pod for the time of a test, from when it serves."""
        pod = self.run_pod(name, ports, annotations)
        try:
            self.wait_until_serving(pod)
            yield pod
        finally:
            self.stop_pod(pod)
            self.remove_pod(pod)

    def wait_until_serving(self, pod: Pod) -> None:
        """The pod's httpd listens on port 80."""
        command = ("ss", "-Hltn", "sport", "=", ":80")
        wait_for(
            lambda: bool(self.sandbox.run(*command, netns=pod.netns).stdout),
            "the pod to listen",
        )

    def pod(self, identity: str) -> Pod:
        """Return address and network namespace of a pod, as containerd tells them."""
        answer = self.call("PodSandboxStatus", field(1, identity) + field(2, 1))
        status = next(v for n, v in fields(answer) if n == 1 and isinstance(v, bytes))
        network = next(v for n, v in fields(status) if n == 5 and isinstance(v, bytes))
        # The verbose part of the answer is JSON; the name is enough here.
        netns = re.search(rb"/netns/(cni-[\w-]+)", answer)
        assert netns is not None
        return Pod(identity, text(network, 1), netns[1].decode())

    def stop_pod(self, pod: Pod) -> None:
        """The pod's containers ended and its network is torn down."""
        self.call("StopPodSandbox", field(1, pod.identity))

    def remove_pod(self, pod: Pod) -> None:
        """containerd knows the pod no more."""
        self.call("RemovePodSandbox", field(1, pod.identity))

    def network_ready(self) -> bool:
        """Whether containerd reports NetworkReady."""
        status = next(fields(self.call("Status")))[1]
        assert isinstance(status, bytes)
        conditions = [v for _, v in fields(status) if isinstance(v, bytes)]
        ready = (dict(fields(c)) for c in conditions if text(c, 1) == "NetworkReady")
        return any(condition.get(2) == 1 for condition in ready)
