"""A week of a store: what regressed, where, since when, and how much of the plan was measured."""
