from __future__ import annotations

import pytest

from fairlead.errors import RuntimeFailure
from fairlead.runtime.users import Accounts, Identity, resolve

ACCOUNTS = Accounts(
    passwd="# all\nroot:x:0:0:root:/root:/bin/sh\nweb:x:33:44::/srv:/bin/sh\nbroken:x:no:1\n7:x:70:71::/seven:\n\n",
    group="root:x:0:\nwww:x:44:\nlog:x:55:web,other\nwheel:x:10:root\nbad\n",
)


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ("", Identity(uid=0, gid=0, groups=(0, 10), home="/root", name="root")),
        ("root", Identity(uid=0, gid=0, groups=(0, 10), home="/root", name="root")),
        ("web", Identity(uid=33, gid=44, groups=(44, 55), home="/srv", name="web")),
        ("33", Identity(uid=33, gid=44, groups=(44, 55), home="/srv", name="web")),
        ("web:log", Identity(uid=33, gid=55, groups=(55,), home="/srv", name="web")),
        ("web:", Identity(uid=33, gid=44, groups=(44, 55), home="/srv", name="web")),
        ("1000:1001", Identity(uid=1000, gid=1001, groups=(1001,), home="/")),
        ("1000", Identity(uid=1000, gid=0, groups=(0,), home="/")),
        (":log", Identity(uid=0, gid=55, groups=(55,), home="/root", name="root")),
        ("7", Identity(uid=70, gid=71, groups=(71,), home="/seven", name="7")),
    ],
)
def test_users(user: str, expected: Identity) -> None:
    assert resolve(user, (), ACCOUNTS) == expected


def test_groups_may_be_added_by_name_and_number() -> None:
    assert resolve("web", ("log", "wheel", "99"), ACCOUNTS).groups == (44, 55, 10, 99)


def test_without_account_files_numbers_still_work() -> None:
    assert resolve("5:6", (), Accounts()) == Identity(uid=5, gid=6, groups=(6,))
    assert resolve("", (), Accounts()) == Identity(groups=(0,))


@pytest.mark.parametrize(
    ("user", "groups", "text"),
    [
        ("nobody", (), "unable to find user nobody: no matching entries in passwd file"),
        ("broken", (), "unable to find user broken: no matching entries in passwd file"),
        ("web:none", (), "unable to find group none: no matching entries in group file"),
        ("web", ("none",), "unable to find group none: no matching entries in group file"),
        ("4294967296", (), "uids and gids must be in range 0-2147483647"),
    ],
)
def test_who_is_not_there(user: str, groups: tuple[str, ...], text: str) -> None:
    with pytest.raises(RuntimeFailure, match=text):
        resolve(user, groups, ACCOUNTS)
