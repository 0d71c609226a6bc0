# SPDX-License-Identifier: Apache-2.0
"""The picture of a node: whatever hangs on a bridge, it can be read."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from itertools import combinations
from types import SimpleNamespace
from typing import Any

import pytest

from cni_common.naming import Attachment
from cnipy.tree import Attached, dot, drawing
from cnipy.tree.nodes import Nodes
from cnipy.tree.reading import Published

LETTER = 7.3  # pixels of a letter of the font at most
BRIDGE: dict[str, Any] = {"br0": SimpleNamespace(kind="bridge", is_up=True)}


def attached(number: int, *, called: str = "") -> Attached:
    """Return an attachment that has all that a picture shows."""
    at = Attachment("n", f"{number:064x}", "eth0", f"/run/netns/c{number}")
    one = Attached(at, number % 7 != 3, [], (called,) if called else ())
    one.kind, one.inside, one.port, one.master = "veth", "eth0", f"veth{number}", "br0"
    one.addresses = [
        f"10.9.{number // 250}.{number % 250 + 2}/16",
        f"fd09::{number}/64",
    ]
    one.gateways = ["10.9.0.1/16"]
    one.published = [
        Published("tcp", 8000 + number + more, "", "10.9.0.2", 80)
        for more in range(number % 4)
    ]
    return one


def drawn(found: list[Attached]) -> ET.Element:
    """Return the picture."""
    return ET.fromstring("\n".join(drawing.lines(found, BRIDGE)))


def boxes(picture: ET.Element, kind: str) -> list[tuple[float, float, float, float]]:
    """Return left, top, right and bottom of the boxes of a kind."""
    found = []
    for each in picture.iter("{http://www.w3.org/2000/svg}rect"):
        if kind in each.get("class", "").split():
            x, y, width, height = (
                float(each.get(key, 0)) for key in ("x", "y", "width", "height")
            )
            found.append((x, y, x + width, y + height))
    return found


@pytest.mark.parametrize("number", [1, 20, 200])
def test_nothing_overlaps_and_nothing_is_outside(number: int) -> None:
    """Cards lie beside each other, texts within their card, cards in their frame."""
    picture = drawn([attached(n) for n in range(number)])
    cards = boxes(picture, "card")
    assert len(cards) == number
    for (ax, ay, ar, ab), (bx, by, br, bb) in combinations(cards, 2):
        assert ar <= bx or br <= ax or ab <= by or bb <= ay
    (frame,) = boxes(picture, "network")
    for left, top, right, bottom in cards:
        assert frame[0] <= left < right <= frame[2]
        assert frame[1] <= top < bottom <= frame[3]
    width, height = (float(picture.get(key, 0)) for key in ("width", "height"))
    assert width / height < 3
    assert height / width < 3
    for group in picture.iter("{http://www.w3.org/2000/svg}g"):
        (card,) = boxes(group, "card")
        for text in group.iter("{http://www.w3.org/2000/svg}text"):
            left, line = float(text.get("x", 0)), float(text.get("y", 0))
            assert card[0] < left
            assert left + len(text.text or "") * LETTER <= card[2] + 1
            assert card[1] < line < card[3]


def test_names_keep_what_tells_pods_apart() -> None:
    """Of a long name the middle is left out, and all of it is in the tooltip."""
    name = "production/web-frontend-7d4b9c-{}".format
    picture = drawn([attached(n, called=name(n)) for n in range(2)])
    texts = [each.text or "" for each in picture.iter() if each.tag.endswith("text")]
    assert len({text for text in texts if text.startswith("production/")}) == 2
    titles = [each.text or "" for each in picture.iter() if each.tag.endswith("title")]
    assert all(name(n) in titles[n] for n in range(2))


def test_names_of_others_are_no_markup() -> None:
    """What a runtime calls a container stays text, in a picture and in a graph."""
    evil = '</text><script>"\\'
    picture = drawn([attached(0, called=evil)])
    assert not [each for each in picture.iter() if each.tag.endswith("script")]
    graph = "\n".join(dot.lines([attached(0, called=evil)], BRIDGE))
    for label in re.findall(r'label="((?:[^"\\]|\\.)*)"', graph):
        assert '"' not in label.replace('\\"', "")


def test_empty_node_is_drawn_as_such() -> None:
    """Without an attachment the picture says so."""
    assert "no attachment" in "".join(drawn([]).itertext())


@pytest.mark.parametrize("number", [1, 4, 24])
def test_other_nodes_have_a_card_each_below(number: int) -> None:
    """They lie beside each other, in a frame of their own that says how many."""
    cards = [[f"node n{n}", f"192.0.2.{n}", f"10.64.{n}.0/26"] for n in range(number)]
    nodes = Nodes("n", cards, 3)
    picture = ET.fromstring("\n".join(drawing.lines([attached(1)], BRIDGE, [nodes])))
    (_, frame), (_, *drawn_nodes) = boxes(picture, "network"), boxes(picture, "card")
    assert len(drawn_nodes) == number
    for x, y, right, bottom in drawn_nodes:
        assert frame[0] < x < right < frame[2]
        assert frame[1] < y < bottom < frame[3]
    for one, other in combinations(drawn_nodes, 2):
        beside = one[2] <= other[0] or other[2] <= one[0]
        assert beside or one[3] <= other[1] or other[3] <= one[1]
    texts = [each.text or "" for each in picture.iter() if each.tag.endswith("text")]
    assert f"n: {number + 3} other nodes, 3 of them not drawn" in texts
    assert {"node n0", "192.0.2.0", "10.64.0.0/26"} <= {*texts}
