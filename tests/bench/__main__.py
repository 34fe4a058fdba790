"""`./test bench [--only ENGINE]… [--job NAME]… [--json FILE]`: measures what is installed and prints the table."""

from __future__ import annotations

import argparse
import json
import platform
import sys
from pathlib import Path

from bench import changes, engines, jobs, report, traffic

GROUPS = (*jobs.GROUPS, *changes.GROUPS, *traffic.GROUPS)


def measure(kind: type[engines.Peer], wanted: list[str]) -> dict[str, list[float]]:
    """All groups of one engine; a group that fails is told and left out."""
    found: dict[str, list[float]] = {}
    with engines.started(kind) as peer:
        for group in GROUPS:
            if wanted and group.__name__ not in wanted:
                continue
            print(f"{kind.title}: {group.__name__}", file=sys.stderr, flush=True)
            try:
                for title, samples in group(peer):
                    found[title] = list(samples)
            except Exception as error:  # noqa: BLE001 - a peer that cannot do a job must not end the run
                print(f"{kind.title}: {group.__name__}: {type(error).__name__}: {error}", file=sys.stderr)
                if not recovered(peer):
                    break
    return found


def recovered(peer: engines.Peer) -> bool:
    """Whether it answers again, with nothing left of what failed."""
    try:
        if not peer.answers():
            peer.kill()
            peer.start()
        peer.clear()
    except Exception as error:  # noqa: BLE001 - the others are still measured
        print(f"{peer.title} does not come back: {type(error).__name__}: {error}", file=sys.stderr)
        return False
    return True


def main() -> None:
    parser = argparse.ArgumentParser(prog="./test bench", description=__doc__)
    parser.add_argument("--only", action="append", default=[], choices=["fairlead", "dockerd", "podman"])
    parser.add_argument("--job", action="append", default=[], choices=[group.__name__ for group in GROUPS])
    parser.add_argument("--json", type=Path, help="also write all samples there")
    given = parser.parse_args()
    results = {kind.title: measure(kind, given.job) for kind in engines.installed(given.only)}
    print(
        f"{platform.processor() or platform.machine()}, Linux {platform.release()}, Python {platform.python_version()}"
    )
    print(report.table(results))
    if given.json:
        given.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
