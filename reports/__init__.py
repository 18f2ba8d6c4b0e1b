"""Turn stored records into something to read."""
