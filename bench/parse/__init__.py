"""Texts that benchmark tools left behind, of any age -> the facts of the runs in them."""
