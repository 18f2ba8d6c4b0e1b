"""Which ops a delegate really took: evidence of every kind, and one verdict drawn from it."""
