"""The verbs: one module per noun, one function per verb of the API; reconcile; events."""
