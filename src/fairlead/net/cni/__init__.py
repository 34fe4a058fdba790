"""The Container Network Interface, without running anything: configurations, what plugins are told, what they answer.

    conflist.py    a network's chain of plugins, as its administrator wrote it; which version of the protocol is spoken
    call.py        one run of one plugin: environment and standard input
    result.py      what comes back, in the form of any version of the protocol; failures

Versions 0.1.0 to 1.1.0 of the specification.
"""
