"""The table of numbers, for fairlead and for any dockerd or podman installed beside it.

engines.py   an engine under measurement, each in a host of its own
jobs.py      what is measured: one function per group of rows, giving samples
changes.py   the same for changes on networks with up to 1,000 endpoints
traffic.py   the same for throughput
load.py      the load generators: a process of its own per client, standard library only
report.py    medians, spreads and ratios as a table
"""
