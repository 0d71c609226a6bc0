# SPDX-License-Identifier: Apache-2.0
"""Elements of nftables for who looks at many attachments at one time.

Each set is listed once, which costs less than a question for each of its elements.
"""

from __future__ import annotations

from cni_common.kernel import nft_questions

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Callable


class Sets:
    """The sets and maps of the namespace, as they are when they are first asked for."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], dict[bytes, bytes]] = {}

    def of(self, table: str) -> Callable[[str, bytes], bytes | None]:
        """Return what answers about `table` as `Questions.value` does.

        It raises Code.INTERNAL when the kernel does not tell.
        """

        def value(name: str, key: bytes) -> bytes | None:
            found = self._known.get((table, name))
            if found is None:
                with nft_questions.about(table) as ask:
                    found = self._known[table, name] = ask.listed(name)
            return found.get(key)

        return value
