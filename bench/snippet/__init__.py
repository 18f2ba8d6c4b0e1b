"""Code that feeds and reads one very model, in several languages."""

LANGUAGES = ("kotlin", "java", "python", "cpp", "swift")
