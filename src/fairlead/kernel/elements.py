"""Elements of our nft table, put in and taken out in one transaction, whatever was there before."""

from __future__ import annotations

import errno
from collections.abc import Sequence

from fairlead.errors import KernelError
from fairlead.kernel.netlink import setelem
from fairlead.kernel.netlink.connection import Netlink
from fairlead.kernel.netlink.frames import NetlinkError
from fairlead.kernel.nft import Nft, NftError
from fairlead.net.ruleset import sorted_out, transaction
from fairlead.net.state import Add, Element, Remove, Step


def apply(nft: Nft, netlink: Netlink, steps: Sequence[Step]) -> None:
    """Make these steps about elements true at once; raises KernelError (ENOENT: the table itself is gone).

    The transaction is first tried as it is. Where something is not as the steps assume, what is there is read and
    only the difference sent.
    """
    if _sent(netlink, steps):
        return
    try:
        nft.run(transaction(steps))
    except NftError as error:
        if not (error.missing or error.exists):
            raise _refused(error, errno.EINVAL) from error
        _apply_difference(nft, *sorted_out(steps), error)


def _sent(netlink: Netlink, steps: Sequence[Step]) -> bool:
    """Whether the kernel took it in our own words. What it refuses, nft can say more about."""
    try:
        netlink.transact(setelem.transaction(steps))
    except (setelem.NoFormError, NetlinkError):
        return False
    return True


def _apply_difference(nft: Nft, gone: list[Element], wanted: list[Element], first: NftError) -> None:
    have = nft.elements()
    if not have:
        if wanted:
            raise _refused(first, errno.ENOENT) from first
        return
    missing = [element for element in wanted if not _holds(have, element)]
    keep = {(element.container, element.key) for element in wanted} - {(e.container, e.key) for e in missing}
    stale = {
        (element.container, element.key): element
        for element in [*gone, *missing]
        if element.key in have.get(element.container, {}) and (element.container, element.key) not in keep
    }
    try:
        nft.run(transaction([*map(Remove, stale.values()), *map(Add, missing)]))
    except NftError as error:
        raise _refused(error, errno.ENOENT if error.missing else errno.EEXIST) from error


def _holds(have: dict[str, dict[str, str]], element: Element) -> bool:
    return have.get(element.container, {}).get(element.key) == element.value


def _refused(error: NftError, code: int) -> KernelError:
    return KernelError("change firewall", str(error).splitlines()[0], code)
