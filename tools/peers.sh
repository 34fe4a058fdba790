#!/usr/bin/env bash
# Unpacks dockerd and podman from Debian beside this machine's own programs, for `./test bench` to measure:
#   sudo tools/peers.sh [FOLDER]            into FOLDER (/opt/peers); nothing is installed, no service starts
#   sudo env PATH=/opt/peers/bin:$PATH ./test bench
# What they need of libraries and small tools is installed; crun, conmon and runc are those that ./test installs.
set -euo pipefail
. "$(dirname "$0")/machine.sh"
need_root
FOLDER=${1:-/opt/peers}

install_packages iptables:iptables '/usr/lib/*/libdevmapper.so.1.02.1:libdevmapper1.02.1' \
  '/usr/lib/*/libgpgme.so.11:libgpgme11' '/usr/lib/*/libseccomp.so.2:libseccomp2' '/usr/lib/*/libsubid.so.4:libsubid4' runc:runc

mkdir -p "$FOLDER/bin"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 777 "$work"
apt-get -qq update
say "unpacking into $FOLDER"
(cd "$work" && apt-get -qq download docker.io containerd podman netavark aardvark-dns)
for package in "$work"/*.deb; do dpkg -x "$package" "$FOLDER/root"; done

for program in usr/sbin/dockerd usr/sbin/docker-proxy usr/bin/containerd usr/bin/containerd-shim-runc-v2; do
  ln -sf "$FOLDER/root/$program" "$FOLDER/bin/"
done
cat >"$FOLDER/containers.conf" <<END
[engine]
helper_binaries_dir = ["$FOLDER/root/usr/lib/podman"]
[containers]
default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]
[network]
network_backend = "netavark"
END
cat >"$FOLDER/bin/podman" <<END
#!/bin/sh
# Debian's podman, with its own network programs.
export CONTAINERS_CONF=$FOLDER/containers.conf
exec $FOLDER/root/usr/bin/podman "\$@"
END
chmod 755 "$FOLDER/bin/podman"
"$FOLDER/bin/dockerd" --version
"$FOLDER/bin/podman" --version
