# SPDX-License-Identifier: Apache-2.0
"""Pages that begin in a laboratory, typed as they are written, and what they print.

Right below a block of commands stands what it prints, all of it, errors too; without
such a block it prints nothing. A line `...` stands for any lines, `…` for anything in a
line. What is volatile, by VOLATILE, may be another word in the run: one word for one
word of the block, wherever it stands, and two for two.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from page_blocks import TOP, Block, blocks

if TYPE_CHECKING:
    from tests.runtimes.sandbox import Sandbox

PICTURE = "/run/picture.svg"
INDEX = "walk-throughs/README"
_SEPARATOR = "\x1e"
# Kind by kind: how such a word looks, and where it stands.
VOLATILE = {
    "mac": r"\b(?!ff:ff|00:00)(?:[0-9a-f]{2}:){5}[0-9a-f]{2}\b",
    "index": r"(?m:(?<=@if)\d+|^(?!1:)\d+(?=: ))",
    "port": r"(?<=port[= ])[3-6]\d{4}\b",
    # Blocks that nodes take of a pool at random.
    **{pool: rf"(?<=10\.{pool[1:]}\.)\d{{3}}\b" for pool in ("b64", "b65")},
}
_VOLATILE = re.compile("|".join(f"(?P<{kind}>{at})" for kind, at in VOLATILE.items()))
_LOOKS = {
    "mac": "(?:[0-9a-f]{2}:){5}[0-9a-f]{2}",
    "index": r"\d+",
    "port": r"\d+",
    **dict.fromkeys(("b64", "b65"), r"\d{3}"),
}
_LEFT_OUT = re.compile(r"^[ \t]*\.\.\.\n|…", re.MULTILINE)


class Step(NamedTuple):
    """A block of commands, and the text below it: what it prints."""

    commands: Block
    printed: str


def steps(page: str) -> list[Step]:
    """Return what a reader of a page types, in its order."""
    found = blocks(page)
    below: list[Block | None] = [*found[1:], None]
    return [
        Step(block, after.text if after and after.language == "text" else "")
        for block, after in zip(found, below, strict=True)
        if block.language == "sh" and not block.reason
    ]


def play(page: str, machine: Sandbox, *more: str) -> list[str]:
    """Type the laboratory of the index, a page, and more; return what each step prints.

    The laboratory's own steps print nothing; raises AssertionError if they do.
    """
    enter, *laboratory = steps(INDEX)
    typed = [step.commands.text for step in (*laboratory, *steps(page))]
    typed += more
    script = "".join(f"printf '\\36'\n{text}" for text in typed)
    path = "/var/tmp/walk-through.sh"
    machine.path(path).write_text(script, encoding="utf-8")
    shell = f"exec 2>&1; cd {TOP}; {enter.commands.text.strip()} {path}"
    ended = machine.run("bash", "-c", shell, check=False)
    printed = ended.stdout.split(_SEPARATOR)[1:]
    printed += [f"not run: {ended.stdout}"] * (len(typed) - len(printed))
    assert "".join(printed[: len(laboratory)]) == ""
    return [_trimmed(text) for text in printed[len(laboratory) :]]


def agrees(expected: str, printed: str) -> bool:
    """Tell whether a run printed what stands on a page, apart from volatile words."""
    words: dict[tuple[str, str], str] = {}
    pattern, at = "", 0
    for found in _VOLATILE.finditer(expected):
        kind, word = str(found.lastgroup), found[0]
        pattern += _literally(expected[at : found.start()])
        if (kind, word) in words:
            pattern += f"(?P={words[kind, word]})"
        else:
            words[kind, word] = f"{kind}{len(words)}"
            pattern += f"(?P<{words[kind, word]}>{_LOOKS[kind]})"
        at = found.end()
    run = re.fullmatch(pattern + _literally(expected[at:]), printed)
    if run is None:
        return False
    taken = {(kind, run[group]) for (kind, _), group in words.items()}
    return len(taken) == len(words)


def _literally(text: str) -> str:
    pattern, at = "", 0
    for left_out in _LEFT_OUT.finditer(text):
        pattern += re.escape(text[at : left_out.start()])
        pattern += "[^\n]*" if left_out[0] == "…" else "(?:[^\n]*\n)*?"
        at = left_out.end()
    return pattern + re.escape(text[at:])


def _trimmed(text: str) -> str:
    """Return the text without blanks at the ends of lines, which pages do not have."""
    return re.sub(r"[ \t]+$", "", text, flags=re.MULTILINE)
