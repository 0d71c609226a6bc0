# SPDX-License-Identifier: Apache-2.0
"""What is asked for is set, and looked at: the part of tuning that needs the kernel."""

from __future__ import annotations

from contextlib import contextmanager

from cni_common.kernel import links, netns
from cni_common.kernel.netlink import Netlink
from cni_common.naming import Attachment
from cni_common.rollback import Rollback
from cni_common.spec.errors import CNIError, Code
from plugins.tuning import changes, record
from plugins.tuning.record import Record
from plugins.tuning.values import Values

TYPE_CHECKING = False  # see launcher/entry.py
if TYPE_CHECKING:
    from collections.abc import Iterator

    from cni_common.kernel.netns import Namespace
    from cni_common.spec.request import Request
    from plugins.tuning.values import Setting


@contextmanager
def tuned(
    request: Request, wanted: Values, noted: Record | None, data_dir: str
) -> Iterator[None]:
    """The link and the parameters are as `wanted`, and it is noted how they were.

    All is as before when the block fails.

    What an earlier ADD of the attachment changed in the same namespace and is not
    wanted any more goes back to what it was.
    """
    owner = Attachment.of(request)
    with netns.open_path(request.netns) as container, Rollback() as undo:
        with netns.entered(container), Netlink() as netlink:
            earlier = _earlier(noted, container.identity)
            target = wanted.over(earlier)
            link = links.existing(netlink, request.ifname) if target.link else None
            now = changes.now(link, target)
            to_set = target.to_set(now)
            before = earlier.over(now.of(to_set))
            new = Record(
                container.path,
                container.identity,
                link.index if link else 0,
                data_dir,
                before,
            )
            undo(record.replace, owner, new, noted)
            record.replace(owner, noted, new if before else None)
            request.log.step("record")
            undo(_put_back, container, request.ifname, now.of(to_set))
            changes.apply(netlink, request.ifname, to_set)
            request.log.step("settings")
        if link is not None and "mac" in target.link:
            from plugins.tuning import guard  # noqa: PLC0415 - only for another MAC

            undo(guard.follow, owner, link, str(now.link["mac"]))
            guard.follow(owner, link, str(target.link["mac"]))
        # Outside, for the way back may be barred, and a result cannot be taken back.
        yield


def _put_back(container: Namespace, ifname: str, values: Values) -> None:
    with netns.entered(container), Netlink() as netlink:
        changes.put_back(netlink, ifname, values)


def check_held(request: Request, wanted: Values) -> None:
    """Raise code 999, naming the first value that is not as `wanted`."""
    with netns.entered_path(request.netns), Netlink() as netlink:
        link = links.existing(netlink, request.ifname) if wanted.link else None
        now = changes.now(link, wanted)
    differing = wanted.unlike(now)
    for key, value in differing.link.items():
        msg = f"check link {request.ifname}: {key} is {_text(now.link[key])}"
        raise CNIError(Code.INTERNAL, f"{msg}, not {_text(value)}")
    for name, text in differing.sysctl.items():
        if name in now.sysctl:
            msg = f"check sysctl {name}: it is {now.sysctl[name]}, not {text}"
            raise CNIError(Code.INTERNAL, msg)


def _earlier(noted: Record | None, identity: str) -> Values:
    same = noted is not None and noted.netns_identity == identity
    return noted.before if noted is not None and same else Values()


def _text(value: Setting) -> str:
    if value is True:
        return "on"
    return "off" if value is False else str(value)
