from harness.fixtures import able, archive, daemon_flags, engine, machine, pristine, running

__all__ = ["able", "archive", "daemon_flags", "engine", "machine", "pristine", "running"]
