"""The commands of `fairlead volume`."""
