"""Why an integer variant lost accuracy, where, and what brings it back: tried and measured."""
