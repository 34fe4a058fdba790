"""The hands: network namespaces, rtnetlink, nftables, sysctls, mounts, cgroups, ports, processes."""
