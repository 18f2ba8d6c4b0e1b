"""A page from a template of ours: what is escaped, and what a page may load, said once."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined

# Of a page without a script.
POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
    "form-action 'none'"
)


def asset(name: str, package: str = "reports.render") -> str:
    """The text of one of a package's templates, or of what lies beside them."""
    return (files(package) / "templates" / name).read_text(encoding="utf-8")


def page(template: str, /, **values: Any) -> str:
    """The text of a template with its values: all but Markup is escaped.

    Raises: jinja2.UndefinedError where the template uses a value that was not given.
    """
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(template).render(**values)
