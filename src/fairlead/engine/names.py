"""Names for containers that were given none: an adjective and a noun of the sea, as in ``steady_bollard``."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

_ADJECTIVES = (  # noqa: SIM905 (words read best as text)
    "able amber ample azure bold brave breezy bright brisk calm candid clear clever coastal cordial crisp deep "
    "deft eager early easy fair fleet fluent fresh gentle gifted golden grand hardy hearty honest jolly keen kind "
    "lively lucid lucky mellow merry mighty mild modest neat nimble noble open patient placid plucky polite proud "
    "quick quiet ready rested salty serene sharp silent silver sleek smart snug solid spry stately steady still "
    "stout sunny swift tidal tidy trim true trusty upbeat vivid warm wavy wise witty zesty"
).split()
_NOUNS = (  # noqa: SIM905 (words read best as text)
    "anchor bollard boom bosun bowline bowsprit breaker bulwark buoy capstan cleat clipper compass coral cutter "
    "davit deck dinghy dock dolphin eddy estuary fathom fender ferry fjord galley gannet gull halyard harbor "
    "hawser heron hull inlet islet jetty keel ketch lagoon lantern lighthouse lugger mariner marlin mast mooring "
    "narwhal oar orca osprey otter pelican petrel pilot pontoon porpoise puffin quay reef rigging rudder sail "
    "schooner seal sextant shoal shroud skiff sloop spar spinnaker stanchion stern swell tern tide tiller topsail "
    "trawler tugboat walrus wharf windlass yawl"
).split()


def choose_name(taken: Callable[[str], bool], random: Random) -> str:
    """A free name; with a number behind it when the plain ones are gone."""
    for attempt in range(10_000):
        name = f"{random.choice(_ADJECTIVES)}_{random.choice(_NOUNS)}"
        if attempt >= 6:
            name += str(random.randrange(10 ** (attempt // 6)))
        if not taken(name):
            return name
    raise AssertionError("no free name after 10,000 tries")
