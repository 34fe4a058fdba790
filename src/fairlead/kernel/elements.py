"""Elements of our nft table, put in and taken out in one transaction, whatever was there before."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Sequence

from fairlead.errors import KernelError
from fairlead.kernel.nft import Nft, NftError
from fairlead.net.ruleset import transaction
from fairlead.net.state import Add, Change, Element, Remove, Step


def apply(nft: Nft, steps: Sequence[Step]) -> None:
    """Make these steps about elements true at once; raises KernelError (ENOENT: the table itself is gone).

    The transaction is first tried as it is. Where something is not as the steps assume, what is there is read and
    only the difference sent.
    """
    try:
        nft.run(transaction(steps))
    except NftError as error:
        if not (error.missing or error.exists):
            raise _refused(error, errno.EINVAL) from error
        _apply_difference(nft, *_split(steps), error)


def _split(steps: Iterable[Step]) -> tuple[list[Element], list[Element]]:
    gone: list[Element] = []
    wanted: list[Element] = []
    for step in steps:
        match step:
            case Remove(fact=Element() as element):
                gone.append(element)
            case Change(before=Element() as before, fact=Element() as element):
                gone.append(before)
                wanted.append(element)
            case _ if isinstance(step.fact, Element):
                wanted.append(step.fact)
    return gone, wanted


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
