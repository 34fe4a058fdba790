"""The file system of the virtual machine: this Python, what the tests import, the programs they start, the modules.

Everything lies where it lies here, so that the environment of this checkout works inside as it does outside.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from harness.cni import REAL

CHECKOUT = Path(__file__).parents[2]

# What the guest's tests start, beside what the engine starts.
PROGRAMS = (
    *("ip", "tc", "nft", "ping", "nsenter", "unshare", "mount", "umount"),
    *("crun", "conmon", "tini-static", "busybox", "bash", "ldconfig", "ldd"),
)
CNI_PLUGINS = ("host-local", "ipvlan", "macvlan", "vlan")
# Loaded by name, so that ldd does not tell of them.
LIBRARIES = ("libnftables.so.1", "libnss_files.so.2", "libgcc_s.so.1", "libpthread.so.0", "libdl.so.2", "librt.so.1")
TABLES = ("/etc/protocols", "/etc/services")  # for libnftables
DISTRIBUTIONS = ("fairlead", "pytest", "pytest-timeout", "docker")

# Of the standard library: what no test imports.
_NOT_TAKEN = frozenset({"test", "tests", "idlelib", "tkinter", "ensurepip", "lib2to3", "turtledemo", "site-packages"})

# Of the kernel's modules: the network's, and what containers stand on.
MODULES = ("net", "lib", "crypto", "fs/overlayfs", "drivers/net/*.ko", "drivers/net/ipvlan", "drivers/net/wireguard")

_SIZE = "600M"


def build(modules: Path, image: Path, job: str) -> None:
    """An ext4 file system of all that; ``modules`` is the directory ``lib/modules/VERSION`` of an unpacked kernel.

    ``job`` is shell: what the machine is to do.
    """
    root = image.with_suffix(".root")
    shutil.rmtree(root, ignore_errors=True)
    for directory in ("dev", "proc", "sys", "run", "tmp", "etc", "root", "var", "sbin", "bin", "mnt", "out"):
        (root / directory).mkdir(parents=True, exist_ok=True)
    _merge_usr(root)
    for path in _files():
        _copy(path, root)
    _take_modules(modules, root)
    _settings(root, job)
    image.unlink(missing_ok=True)
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-d", root, image, _SIZE], check=True)
    shutil.rmtree(root)


def _merge_usr(root: Path) -> None:
    """/bin, /lib and the like are links into /usr, where they are that here."""
    for name in ("bin", "sbin", "lib", "lib64"):
        if Path("/", name).is_symlink():
            shutil.rmtree(root / name, ignore_errors=True)
            (root / name).symlink_to(f"usr/{name}")
        (root / "usr" / name).mkdir(parents=True, exist_ok=True)


def _files() -> Iterator[Path]:
    yield from _python()
    for name in _closure(DISTRIBUTIONS):
        yield from (Path(str(found.locate_file(path))) for found in [name] for path in found.files or ())
    yield from _tree(CHECKOUT / "src")
    yield from _tree(CHECKOUT / "tests")
    yield CHECKOUT / "pyproject.toml"
    yield from map(Path, TABLES)
    programs = [Path(found) for name in PROGRAMS if (found := shutil.which(name)) is not None]
    programs += [REAL / name for name in CNI_PLUGINS if (REAL / name).exists()]
    yield from programs
    yield from _libraries([*programs, Path(sys.executable).resolve(), *_libraries_by_name()])


def _python() -> Iterator[Path]:
    """The interpreter, its standard library, and the environment that the tests run in."""
    executable = Path(sys.executable)
    while True:
        yield executable
        if not executable.is_symlink():
            break
        executable = executable.parent / executable.readlink()
    yield Path(sys.prefix) / "pyvenv.cfg"
    yield from _tree(Path(sysconfig.get_path("stdlib")))


def _tree(directory: Path) -> Iterator[Path]:
    for path in directory.iterdir():
        if path.name in _NOT_TAKEN and directory.name != CHECKOUT.name:
            continue
        if path.is_dir() and not path.is_symlink():
            yield from _tree(path)
        else:
            yield path


def _closure(names: Iterable[str]) -> list[Distribution]:
    """Those distributions and all they require."""
    found: dict[str, Distribution] = {}
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        try:
            found[name] = distribution(name)
        except PackageNotFoundError:
            continue
        needs = [text for text in found[name].requires or () if "extra ==" not in text]
        waiting += [re.split(r"[\s;<>=!~\[(]", text, maxsplit=1)[0] for text in needs]
    return list(found.values())


def _libraries_by_name() -> list[Path]:
    listed = subprocess.run(["ldconfig", "-p"], capture_output=True, text=True, check=True).stdout
    return [
        Path(line.rpartition("=> ")[2])
        for line in listed.splitlines()
        if line.strip().startswith(LIBRARIES) and "x86-64" in line
    ]


def _libraries(programs: Iterable[Path]) -> Iterator[Path]:
    """What these load, the modules of Python included."""
    loaded = [*programs, *Path(sysconfig.get_path("stdlib"), "lib-dynload").glob("*.so")]
    listed = subprocess.run(["ldd", *loaded], capture_output=True, text=True, check=False).stdout
    yield from programs
    yield from (Path(path) for path in set(re.findall(r"(/\S+) \(0x", listed)))


def _copy(path: Path, root: Path) -> None:
    target = root / path.relative_to("/")
    if target.exists() or target.is_symlink() or not path.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(path, target, follow_symlinks=False)
    if path.is_symlink():
        _copy((path.parent / path.readlink()).absolute(), root)


def _take_modules(modules: Path, root: Path) -> None:
    target = root / "usr/lib/modules" / modules.name
    for pattern in MODULES:
        for found in (modules / "kernel").glob(pattern):
            to = target / "kernel" / found.relative_to(modules / "kernel")
            if found.is_dir():
                shutil.copytree(found, to, dirs_exist_ok=True)
            else:
                to.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(found, to)
    for listing in modules.glob("modules.*"):
        shutil.copy2(listing, target)
    subprocess.run(["busybox", "depmod", "-b", root, modules.name], check=True)


def _own_path(root: Path) -> str:
    return ":".join(str(root / directory) for directory in ("usr/bin", "usr/sbin"))


def _settings(root: Path, job: str) -> None:
    shutil.copy2(Path(__file__).with_name("init"), root / "init")
    (root / "job").write_text(job)
    (root / "usr/bin/sh").symlink_to("bash")
    busybox = shutil.which("busybox") or "busybox"
    for name in subprocess.run([busybox, "--list-full"], capture_output=True, text=True, check=True).stdout.split():
        # /sbin/modprobe, which the kernel asks for modules that somebody needs, is one of them.
        link = root / "usr" / name.removeprefix("usr/")
        if link.parent.exists() and not link.exists() and not shutil.which(link.name, path=_own_path(root)):
            link.symlink_to(busybox)
    subprocess.run(["ldconfig", "-r", root], check=True)
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (root / "etc/group").write_text("root:x:0:\n")
    (root / "etc/hosts").write_text("127.0.0.1 localhost\n::1 localhost\n")
    (root / "etc/resolv.conf").write_text("")
