from harness.fixtures import able, archive, engine, machine, pristine, running

__all__ = ["able", "archive", "engine", "machine", "pristine", "running"]
