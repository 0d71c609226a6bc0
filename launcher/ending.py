# SPDX-License-Identifier: Apache-2.0
"""When a warm server ends by itself: nobody calls, or another build is installed."""

from __future__ import annotations

import os
import time

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Callable


class Ending:
    """Tells a server that serves the packed file `archive` whether it has to end.

    idle: seconds without a call after which it has to, 0 for never; build_of: what
    the first bytes of a packed file state; it raises OSError or ValueError. `build` is
    what they stated at first.
    """

    def __init__(
        self, archive: str, idle: float, build_of: Callable[[str], str]
    ) -> None:
        self._archive, self._idle, self._build_of = archive, idle, build_of
        self._known = _identity(archive)
        self.build = build_of(archive)
        self._last = time.monotonic()
        self.reason = ""

    def called(self) -> None:
        """Note that there was a call."""
        self._last = time.monotonic()

    def is_due(self) -> bool:
        """Tell whether the server has to end; from then on there is a `reason`."""
        if not self.reason and self._idle and self.milliseconds() == 0:
            self.reason = f"there was no call for {self._idle:g} seconds"
        return bool(self.reason)

    def milliseconds(self) -> int | None:
        """Return how long nobody may call until the end is due; None for ever."""
        if not self._idle:
            return None
        left = self._last + self._idle - time.monotonic()
        return max(0, int(left * 1000 + 1)) if left > 0 else 0

    def look(self) -> None:
        """Make the end due if the archive is another build's by now, or gone.

        Only the file's identity is looked at, unless that has changed.
        """
        try:
            found = _identity(self._archive)
            if found == self._known:
                return
            build = self._build_of(self._archive)
        except (OSError, ValueError):
            build = ""
        else:
            self._known = found
        if build != self.build:
            what = f"of build {build} now" if build else "gone"
            self.reason = f"{self._archive} is {what}"


def _identity(path: str) -> tuple[int, ...]:
    found = os.stat(path)
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns
