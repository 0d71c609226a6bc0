# SPDX-License-Identifier: Apache-2.0
# What the launcher has the interpreter run, compiled anew at every start. It holds no
# apostrophe, for it stands between two of them in a shell script.
import posix
import sys


def ready(start: str) -> bool:
    tree = start.removesuffix("/start.py")
    try:
        posix.stat(start)
        for path in (tree, tree.rpartition("/")[0]):
            found = posix.lstat(path)
            owned = found.st_uid in {0, posix.geteuid()}
            # A directory, and no link, which only its owner writes to.
            if not owned or found.st_mode & 0o170022 != 0o040000:  # noqa: PLR2004
                return False
    except OSError:
        return False
    return True


def run(start: str, archive: str) -> None:
    if ready(start):
        del sys.argv[0]
        with open(start, "rb") as file:
            exec(file.read(), {"__file__": start})  # noqa: S102 - as if run by its path
    else:
        import runpy

        del sys.argv[:2]
        runpy.run_path(archive, run_name="__main__")


def fail(archive: str, error: Exception) -> None:
    sys.excepthook(type(error), error, error.__traceback__)
    if archive.endswith("/cnipy"):
        return
    code = 5 if isinstance(error, OSError) else 999
    tree = next((p[:-14] for p in sys.path if p.endswith("/site-packages")), "")
    way = f"remove {tree}, the next call extracts it anew" if tree else "install again"
    words = (f"load {tree or archive}: {type(error).__name__}: {error}", way)
    # What makes JSON may be what is missing.
    unfit = bytes(range(32)) + b"\x22\\"
    plain = [word.encode("ascii", "replace").translate(None, unfit) for word in words]
    form = b"{|cniVersion|: |1.1.0|, |code|: %d, |msg|: |%b|, |details|: |%b|}\n"
    posix.write(1, form.replace(b"|", b"\x22") % (code, *plain))


start, archive = sys.argv[1:3]
try:
    run(start, archive)
except Exception as error:  # noqa: BLE001 - nothing is between this and the runtime
    fail(archive, error)
    sys.exit(1)
