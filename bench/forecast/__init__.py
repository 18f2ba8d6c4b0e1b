"""Which ops of a model a delegate is known to refuse, before anything has run."""
