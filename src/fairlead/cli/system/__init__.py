"""The commands of `fairlead system`."""
