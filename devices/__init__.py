"""Reach a board, own it, know its state. Nothing here knows of models."""
