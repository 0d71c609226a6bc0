# SPDX-License-Identifier: Apache-2.0
# What gate.py does where there is no tree yet, and where a start fails: text to it, so
# that only then it is compiled. There is no apostrophe in it either. It imports nothing
# that the interpreter has not imported itself, for whatever it is may be missing.
import posix
import sys
from zipimport import zipimporter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Opened = tuple[str, int, int, Any]


def extracted(
    roots: tuple[str, ...], name: str, opened: "Callable[[str], Opened | None]"
) -> "Opened":
    extract: dict[str, Any] = {"__name__": "extract"}
    code = zipimporter(sys.argv[0]).get_code("extract")
    exec(code, extract)  # noqa: S102 - ours
    made: Opened = extract["extracted"](sys.argv[0], roots, name.lstrip("/"), opened)
    return made


def tell(error: Exception) -> None:
    sys.excepthook(type(error), error, error.__traceback__)
    if sys.argv[0].endswith("/cnipy"):
        return
    code = 5 if isinstance(error, OSError) else 999
    tree = next((p[:-14] for p in sys.path if p.endswith("/site-packages")), "")
    way = f"remove {tree}, the next call extracts it anew" if tree else "install again"
    cause = f"load {tree or sys.argv[0]}: {type(error).__name__}: {error}"
    # What makes JSON may be what is missing.
    unfit = bytes(range(32)) + b"\x22\\"
    plain = [w.encode("ascii", "replace").translate(None, unfit) for w in (cause, way)]
    form = b"{|cniVersion|: |1.1.0|, |code|: %d, |msg|: |%b|, |details|: |%b|}\n"
    posix.write(1, form.replace(b"|", b"\x22") % (code, *plain))
