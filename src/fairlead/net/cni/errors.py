"""What can be wrong with a configuration, and what a plugin may complain of."""

from __future__ import annotations


class CniError(Exception):
    """A configuration or an answer that is not what the specification says; ``str()`` is a sentence."""


class PluginMissing(CniError):
    """There is no program of that type."""


class PluginFailure(CniError):
    """A plugin said no: its code, message and details."""

    def __init__(self, plugin: str, code: int, message: str, details: str = "") -> None:
        meaning = _MEANINGS.get(code)
        said = ": ".join(part for part in (message.strip(), details.strip()) if part)
        super().__init__(f"CNI plugin {plugin}: {said or meaning or 'failed without saying why'}")
        self.plugin, self.code, self.message, self.details = plugin, code, message, details


UNKNOWN_CONTAINER = 3
TRY_AGAIN_LATER = 11
NOT_READY = (50, 51)

# The specification's well-known codes, for plugins that say nothing more.
_MEANINGS = {
    1: "it does not speak this version of CNI",
    2: "it does not know a field of its configuration",
    UNKNOWN_CONTAINER: "it does not know this container",
    4: "an environment variable is missing or wrong",
    5: "it cannot read or write",
    6: "it cannot read its configuration",
    7: "its configuration is wrong",
    TRY_AGAIN_LATER: "it asks to be tried again later",
    50: "it is not ready",
    51: "it is not ready, and containers that it serves may have lost their network",
}
