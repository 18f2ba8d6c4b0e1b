"""A diagnosis to read: on a terminal, as JSON, as one HTML page with charts."""
