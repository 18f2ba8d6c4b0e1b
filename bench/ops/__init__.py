"""Per-op profiles: what they are, whose ops they are, and what they say."""
