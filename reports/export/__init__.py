"""Comparisons as something another program reads: CSV and JSON."""
