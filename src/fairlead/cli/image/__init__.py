"""The commands of `fairlead image`."""
