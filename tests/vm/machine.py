"""A virtual machine with Debian's kernel for what the kernel here lacks: made, run once with a job, its results read.

The processor is emulated even where there is KVM (which is there and does not work in some virtual machines): Python
runs about ten times slower than here. The kernel has NVMe and ext4 built in, so that it boots from a plain file system
image without an initial RAM disk.
"""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import tarfile
from collections.abc import Sequence
from pathlib import Path

from vm import image

# Where ./test puts the unpacked kernel package.
KERNEL = Path(os.environ.get("FAIRLEAD_VM_KERNEL", image.CHECKOUT / ".venv" / "vm"))
PATIENCE = 600  # seconds; a run takes two and a half minutes where nothing else runs

_MEMORY = "1536"
_RESULTS = 16 << 20  # bytes


def missing() -> str:
    """Why there can be no machine here; "" when there can."""
    if os.geteuid():
        return "needs root, to read all files that go into the machine"
    if os.uname().machine != "x86_64":
        return f"the machine is an x86_64 one, this is {os.uname().machine}"
    for program in ("qemu-system-x86_64", "mke2fs", "busybox"):
        if shutil.which(program) is None:
            return f"needs {program}: ./test installs it"
    if not list(KERNEL.glob("boot/vmlinuz-*")):
        return f"needs a kernel in {KERNEL}: ./test puts it there"
    return ""


def run(tests: Sequence[str], directory: Path) -> dict[str, bytes]:
    """Files that a run of pytest over ``tests`` (paths below tests/) left in the machine's /out, by name."""
    disk, results, console = directory / "disk", directory / "results", directory / "console"
    (modules,) = KERNEL.glob("lib/modules/*")
    image.build(modules, disk, _job(tests))
    with open(results, "wb") as empty:
        empty.truncate(_RESULTS)
    with open(console, "wb") as log:
        try:
            subprocess.run(
                _command(disk, results), stdin=subprocess.DEVNULL, stdout=log, stderr=log, timeout=PATIENCE, check=False
            )
        except subprocess.TimeoutExpired:
            log.write(f"\nended after {PATIENCE} s\n".encode())
    return _read(results) | {"console": console.read_bytes()}


def _job(tests: Sequence[str]) -> str:
    """What init runs. No time limits by pytest: here a second is short."""
    paths = " ".join(f"tests/{path}" for path in tests)
    return f"""
cd {image.CHECKOUT}
export VIRTUAL_MACHINE=1 HOME=/root PATH={image.CHECKOUT}/.venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1
timeout -s KILL {PATIENCE - 60} \
  python -m pytest {paths} -o timeout=0 -p no:cacheprovider --junitxml=/out/results.xml --durations=15 >/out/log 2>&1
"""


def _command(disk: Path, results: Path) -> list[str]:
    (kernel,) = KERNEL.glob("boot/vmlinuz-*")
    return [
        *("qemu-system-x86_64", "-accel", "tcg,thread=multi", "-m", _MEMORY, "-smp", "2"),
        *("-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-serial", "stdio"),
        *("-kernel", str(kernel)),
        *("-append", "console=ttyS0 root=/dev/nvme0n1 rw init=/init quiet panic=-1 mitigations=off nokaslr"),
        *("-drive", f"file={disk},if=none,id=disk,format=raw,cache=unsafe", "-device", "nvme,serial=0,drive=disk"),
        *("-drive", f"file={results},if=none,id=out,format=raw,cache=unsafe", "-device", "nvme,serial=1,drive=out"),
    ]


def _read(results: Path) -> dict[str, bytes]:
    """Empty when the machine did not come as far as its results."""
    found: dict[str, bytes] = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(results.read_bytes())) as archive:
            for member in archive:
                if (file := archive.extractfile(member)) is not None:
                    found[Path(member.name).name] = file.read()
    except tarfile.ReadError:
        return {}
    return found
