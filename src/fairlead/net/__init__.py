"""What the kernel should hold, as values. Pure: no I/O, no clock, no randomness of its own."""
