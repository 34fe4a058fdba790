"""What a thing is: frozen values for networks, endpoints, containers, images, volumes and events.

Everything here is stored as JSON by ``store`` through msgspec, with ``codec`` for the address types.
"""
