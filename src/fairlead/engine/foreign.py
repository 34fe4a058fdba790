"""Watches other people's forward chains: says which drop our containers' packets, or opens them where told to."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from fairlead.kernel.nft import NftError
from fairlead.net import foreign
from fairlead.net.foreign import Chain
from fairlead.settings import ForeignForward

if TYPE_CHECKING:
    from fairlead.engine.core import Engine

log = logging.getLogger(__name__)


class Foreign:
    """The forward chains of others that drop by default."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._closed: tuple[Chain, ...] = ()

    @property
    def _opens(self) -> bool:
        return self._engine.settings.foreign_forward is ForeignForward.ACCEPT

    def look(self) -> None:
        """What there is now; told when it changed. Raises NftError where nft cannot list, or a chain went meanwhile."""
        chains = foreign.forward_chains(self._engine.kernel.nft.list_json("chains"))
        found = tuple(chain for chain in chains if foreign.is_closed(chain, self._rules(chain)))
        self._set_passages(found)
        if found != self._closed:
            self._closed = found
            for text in self.warnings():
                log.warning("%s", text)
                self._engine.events.publish("daemon", "warning", "host", {"name": "fairlead", "warning": text})

    def _rules(self, chain: Chain) -> list[dict[str, Any]]:
        return self._engine.kernel.nft.list_json(f"chain {chain.family} {chain.table} {chain.name}")

    def _set_passages(self, chains: tuple[Chain, ...]) -> None:
        """As many as are wanted: none, where an engine before this one was told otherwise."""
        networks = self._engine.store.networks if self._opens else ()
        bridges = {network.bridge for network in networks if network.bridge}
        commands: list[str] = []
        for chain in chains:
            commands += foreign.way(chain, foreign.passages(self._rules(chain)), bridges)
        if commands:
            self._engine.kernel.nft.run("\n".join(commands))

    def follow_networks(self) -> None:
        """After a network came or went: the passages are those of the bridges there are."""
        if self._opens and self._closed:
            try:
                self._set_passages(self._closed)
            except NftError as error:
                log.warning("cannot open other forward chains: %s", error)

    def warnings(self) -> tuple[str, ...]:
        """For those who ask how the engine is; nothing where the chains are opened."""
        if self._opens:
            return ()
        return tuple(
            f"WARNING: {chain} drops forwarded packets that it does not know: containers do not reach other hosts, "
            "published ports are not reached from them. Allow it there, or start the engine with "
            "--foreign-forward accept"
            for chain in self._closed
        )
