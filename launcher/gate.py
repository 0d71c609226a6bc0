# SPDX-License-Identifier: Apache-2.0
# What the launcher has the interpreter run. It is compiled anew at every start, as much
# work as the rest of VERSION: what most calls do not need is in rare.py, and neither
# annotations nor f-strings are here. There is no apostrophe in it, for it stands
# between two of them in a shell script.
import marshal
import posix
import sys
from _frozen_importlib_external import MAGIC_NUMBER
from _imp import source_hash


def opened(tree):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN201 - see above
    try:
        # Nothing is believed that somebody else could have written: a tree is a
        # directory, no link, which only its owner writes to, and so is where it lies.
        for path in (tree, tree.rpartition("/")[0]):
            found = posix.lstat(path)
            mine = found.st_uid in {0, posix.geteuid()}
            if not mine or found.st_mode & 0o170022 != 0o040000:  # noqa: PLR2004
                return None
        bundle = posix.open(tree + "/bundle", posix.O_RDONLY | posix.O_CLOEXEC)
        head = posix.pread(bundle, 16, 0)
        part = posix.pread(bundle, int.from_bytes(head[12:], "big"), 16)
        if head[:12] == MAGIC_NUMBER + source_hash(0, part):
            return tree, bundle, 16 + len(part), marshal.loads(part)  # noqa: S302
        posix.close(bundle)
    except OSError:
        pass  # extract.py will say why, if it is lasting
    return None


rare, build, root = sys.argv[1:4]
del sys.argv[:4]
name = "/" + build + "." + sys.implementation.cache_tag
second = "/run/cnipy"
try:
    found = opened(root + name) or opened(second + name)  # type: ignore[no-untyped-call]
    if not found:
        exec(rare)  # noqa: S102 - it stands beside these words
        found = extracted((root, second), name, opened)  # type: ignore[name-defined] # noqa: F821
    reader = {"__name__": "launcher.bundle"}
    exec(found[3][0], reader)  # noqa: S102 - ours
    reader["run"](build, *found)  # type: ignore[operator]
except Exception as error:  # noqa: BLE001 - nothing is between this and the runtime
    try:
        exec(rare)  # noqa: S102
        tell(error)  # type: ignore[name-defined] # noqa: F821
    except MemoryError:
        posix.write(1, b"""{"code": 999, "msg": "load: there is no memory"}\n""")
    sys.exit(1)
