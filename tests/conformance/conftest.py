from harness.fixtures import able, archive, engine, flags, machine, pristine, running

__all__ = ["able", "archive", "engine", "flags", "machine", "pristine", "running"]
