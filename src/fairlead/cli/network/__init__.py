"""The commands of `fairlead network`."""
