"""Comparisons as something to read: terminal, Markdown, HTML and charts."""
