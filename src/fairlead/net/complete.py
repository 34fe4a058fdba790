"""A network's spec made complete: with the daemon's default options, and with what a configuration network lends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from fairlead.errors import Forbidden, InvalidArgument
from fairlead.model.network import NetworkSpec
from fairlead.net.drivers.options import parse_bool

ENABLE: Mapping[int, str] = {4: "com.docker.network.enable_ipv4", 6: "com.docker.network.enable_ipv6"}


def with_defaults(spec: NetworkSpec, defaults: Mapping[str, str]) -> NetworkSpec:
    """With the default options of its driver; a family that the request left open is as the options say."""
    options = {**defaults, **spec.options}
    enabled = {4: spec.enable_ipv4, 6: spec.enable_ipv6}
    for version, label in ENABLE.items():
        if version not in spec.open_families:
            # Said by the request itself: an option beside it would only look wrong in inspect.
            options.pop(label, None)
        elif label in options:
            enabled[version] = _enabled(label, options[label])
    return replace(spec, options=options, enable_ipv4=enabled[4], enable_ipv6=enabled[6])


def _enabled(label: str, text: str) -> bool:
    try:
        return parse_bool(text)
    except ValueError as error:
        raise InvalidArgument(f'driver-opt "{label}" is not a valid bool: {text}') from error


def check_lender(spec: NetworkSpec) -> None:
    """Raises for what a configuration network cannot hold: it is not a network, but the description of some."""
    if not spec.config_only:
        return
    if spec.internal or spec.attachable or spec.ingress or spec.scope != "local":
        raise Forbidden(
            "configuration network can only contain network specific fields. Network operator fields like "
            "[ ingress | internal | attachable | scope ] are not supported."
        )
    if spec.config_from:
        raise Forbidden("a configuration network cannot depend on another configuration network")


def borrowed(spec: NetworkSpec, lent: NetworkSpec) -> NetworkSpec:
    """The spec with all that the configuration network ``lent`` holds; it may say nothing of that itself."""
    own = (spec.ipam, spec.labels, spec.options, spec.ipam_options, not spec.enable_ipv4, spec.enable_ipv6)
    if any(own) or spec.ipam_driver not in ("", "default"):
        raise Forbidden(
            "user-specified configurations are not supported if the network depends on a configuration network"
        )
    return replace(
        spec,
        enable_ipv4=lent.enable_ipv4,
        enable_ipv6=lent.enable_ipv6,
        ipam=lent.ipam,
        ipam_driver=lent.ipam_driver,
        ipam_options=lent.ipam_options,
        options=lent.options,
        labels=lent.labels,
    )
