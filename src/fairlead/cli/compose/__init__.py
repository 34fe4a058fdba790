"""``fairlead compose``: the verbs on projects."""
