"""Programs that speak Docker's plugin protocol: found by name, activated, asked."""
