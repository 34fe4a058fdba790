"""Reading the elements out of nft's own listing."""

from __future__ import annotations

from fairlead.kernel.nft import NftError, parse_elements

LISTING = """table inet fairlead {
	set bridges {
		type ifname
		elements = { "br-1",
			"br-2" }
	}

	map published6 {
		type inet_proto . inet_service : ipv6_addr . inet_service
		elements = { tcp . 8080 : fd00::2 . 80, udp . 53 : fd00::3 . 53 }
	}

	map ranges4 {
		type inet_proto . inet_service : ipv4_addr
		flags interval
		elements = { tcp . 8000-8999 : 10.0.0.2 }
	}

	set empty {
		type ipv4_addr
		flags interval
	}

	chain forward {
		type filter hook forward priority filter; policy accept;
		meta l4proto { icmp, ipv6-icmp } accept
	}
}
"""


def test_elements_of_every_container() -> None:
    assert parse_elements(LISTING) == {
        "bridges": {'"br-1"': "", '"br-2"': ""},
        "published6": {"tcp . 8080": "fd00::2 . 80", "udp . 53": "fd00::3 . 53"},
        "ranges4": {"tcp . 8000-8999": "10.0.0.2"},
        "empty": {},
    }


def test_nothing_in_nothing() -> None:
    assert parse_elements("") == {}


def test_errors_are_told_apart() -> None:
    missing = NftError("x: Error: Could not process rule: No such file or directory")
    exists = NftError("x: Error: Could not process rule: File exists")
    assert (missing.missing, missing.exists) == (True, False)
    assert (exists.missing, exists.exists) == (False, True)
