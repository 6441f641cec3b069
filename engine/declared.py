"""The declared settings one by one: their names, and the values that they may have, in words.

The config file, the environment, the command line and the help page are made of these.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from engine.settings import Section, Settings

PREFIX = "BABELBROOK_"


@dataclass(frozen=True)
class Setting:
    """One declared setting, as the config file, the command line and the help page need it."""

    section: str
    field: str
    default: Any
    help: str
    schema: dict[str, Any]
    """JSON schema of its value."""

    @property
    def name(self) -> str:
        """The name that people use: `server.port`."""
        return f"{self.section}.{self.field}"

    @property
    def flag(self) -> str:
        """The command line's name: `--server.port`."""
        return f"--{self.name}"

    @property
    def variable(self) -> str:
        """The environment's name: `BABELBROOK_SERVER__PORT`."""
        return f"{PREFIX}{self.section}__{self.field}".upper()

    @property
    def is_secret(self) -> bool:
        """Whether the value must not be shown."""
        return bool(self.schema.get("writeOnly"))

    @property
    def is_list(self) -> bool:
        """Whether the value is a list, which flags and variables give as JSON."""
        return self.schema.get("type") == "array"

    @property
    def allowed(self) -> str:
        """The values it may have, in words: `a whole number from 0 to 65535`."""
        return _in_words(self.schema)


def _in_words(schema: dict[str, Any]) -> str:
    """Say which values a JSON schema allows, for the kinds of schema that settings have.

    Raises KeyError for another kind: a setting of a new type needs its words here.
    """
    if "anyOf" in schema:
        return " or ".join(_in_words(choice) for choice in schema["anyOf"])
    if "const" in schema:
        return str(schema["const"])
    if "enum" in schema:
        *most, last = schema["enum"]
        return f"{', '.join(most)} or {last}"
    nouns = {
        "array": _list_in_words(schema),
        "boolean": "true or false",
        "integer": "a whole number",
        "number": "a number",
        "string": str(schema.get("format", "text")),
    }
    return nouns[schema["type"]] + _range_in_words(schema)


def _list_in_words(schema: dict[str, Any]) -> str:
    """Say what a list holds; nothing for what is none."""
    items = schema.get("items", {}).get("type")
    of = "texts" if items == "string" else "mappings"
    return f"a list of {of}, written as JSON in flags and variables"


def _range_in_words(schema: dict[str, Any]) -> str:
    """Say the bounds of a number's JSON schema."""
    # Formatted, because some releases of pydantic make the 0 of a float's bound a 0.0.
    if "maximum" in schema:
        return f" from {schema['minimum']:.15g} to {schema['maximum']:.15g}"
    if "minimum" in schema:
        return f" of at least {schema['minimum']:.15g}"
    if "exclusiveMinimum" in schema:
        return f" above {schema['exclusiveMinimum']:.15g}"
    return ""


def _declared() -> Iterator[Setting]:
    """Read the declarations, in their order."""
    defaults = Settings()
    for section in Settings.model_fields:
        group: Section = getattr(defaults, section)
        for field, schema in type(group).model_json_schema()["properties"].items():
            yield Setting(section, field, getattr(group, field), schema["description"], schema)


SETTINGS = {setting.name: setting for setting in _declared()}
"""Every setting by name, in the order of declaration."""

HEADINGS = {
    section: type(getattr(Settings(), section)).__doc__ or "" for section in Settings.model_fields
}
"""What each section is about, by the section's name."""
