# SPDX-License-Identifier: Apache-2.0
"""A container image with busybox only, as `docker save` writes it."""

import hashlib
import io
import json
import shutil
import tarfile
from pathlib import Path

LINKS = ("cat", "httpd", "ip", "ping", "sh", "sleep", "timeout", "wget")
FILES = {
    "etc/passwd": b"root:x:0:0:root:/:/bin/sh\n",
    "www/index.html": b"hello\n",
}
SERVE = ("/bin/busybox", "httpd", "-f", "-p", "80", "-h", "/www")


def add_file(archive: tarfile.TarFile, name: str, content: bytes, mode: int) -> None:
    """Append a regular file."""
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(content), mode
    archive.addfile(member, io.BytesIO(content))


def layer() -> bytes:
    """Return the only layer: a static busybox, a page to serve, empty directories."""
    busybox = shutil.which("busybox")
    assert busybox is not None
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name in ("bin", "dev", "etc", "proc", "sys", "tmp", "www"):
            member = tarfile.TarInfo(name)
            member.type, member.mode = tarfile.DIRTYPE, 0o755
            archive.addfile(member)
        add_file(archive, "bin/busybox", Path(busybox).read_bytes(), 0o755)
        for name in LINKS:
            member = tarfile.TarInfo(f"bin/{name}")
            member.type, member.linkname = tarfile.SYMTYPE, "busybox"
            archive.addfile(member)
        for name, content in FILES.items():
            add_file(archive, name, content, 0o644)
    return buffer.getvalue()


def write_image(path: Path, name: str, command: tuple[str, ...] = SERVE) -> None:
    """`path` is an archive of image `name` whose entry point is `command`."""
    content = layer()
    digest = hashlib.sha256(content).hexdigest()
    config = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {"Entrypoint": list(command), "Env": ["PATH=/bin"]},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
            "history": [{"created": "1970-01-01T00:00:00Z"}],
        }
    ).encode()
    config_name = f"{hashlib.sha256(config).hexdigest()}.json"
    layer_name = f"{digest}.tar"
    manifest = [{"Config": config_name, "RepoTags": [name], "Layers": [layer_name]}]
    with tarfile.open(path, mode="w") as archive:
        add_file(archive, config_name, config, 0o644)
        add_file(archive, layer_name, content, 0o644)
        add_file(archive, "manifest.json", json.dumps(manifest).encode(), 0o644)
