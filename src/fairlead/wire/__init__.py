"""Docker's JSON <-> model, for server and client alike: pure, and the only place where dicts become values."""
