"""Netlink: frames and attributes, the rtnetlink and nfnetlink messages we speak, and the socket that carries them."""
