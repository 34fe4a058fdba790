"""The commands of `fairlead container`."""
