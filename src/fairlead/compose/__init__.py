"""Projects of many containers in one YAML file (the Compose Specification), through the engine's API alone."""
