"""Per-op profiles to read: on a terminal, as JSON and CSV, in trace and graph viewers."""
