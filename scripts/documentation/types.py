"""The type of a key in words, from its JSON schema: kind of value, unit and bounds."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

#: Unit of a key by the end of its name; the longest end counts.
UNITS = {
    "requests_per_hour": "requests",
    "_g_per_kwh": "gCO2e/kWh",
    "_j_per_gb": "J/GB",
    "_gb_per_s": "GB/s",
    "_gib": "GiB",
    "_tflops": "TFLOP/s",
    "_j_per_prompt_token": "J",
    "_j_per_answer_token": "J",
    "_ms_per_token": "ms",
    "energy_j": "J",
    "embodied_g": "gCO2e",
    "hours": "h",
    "_hour": "h",
    "_ms": "ms",
    "_s": "s",
    "_mb": "MB",
    "_w": "W",
    "latitude": "°",
    "longitude": "°",
}

_PLAIN = {"string": "text", "boolean": "true or false", "integer": "whole number", "number": "number"}


def unit_of(key: str) -> str:
    """Return the unit that a key's name states, or nothing."""
    return (
        UNITS[max((end for end in UNITS if key.endswith(end)), key=len)] if key.endswith(tuple(UNITS)) else ""
    )


def in_words(schema: Mapping[str, Any], unit: str, linked: Callable[[Sequence[str]], str]) -> str:
    """Return a JSON schema's type in Markdown.

    Parameters
    ----------
    schema
        Of the key.
    unit
        Of its number, or nothing.
    linked
        Returns the text that stands for one of several models, given the names of their schemas.
    """
    alternatives = [
        one for one in schema.get("anyOf", schema.get("oneOf", [schema])) if one.get("type") != "null"
    ]
    models = [one["$ref"].rpartition("/")[2] for one in alternatives if "$ref" in one]
    names = [linked(models)] if models else []
    nested = [one for one in alternatives if one is not schema and "$ref" not in one]
    names += [in_words(one, unit, linked) for one in nested]
    return " or ".join(names) or _alone(schema, unit, linked)


def code(value: Any) -> str:
    """Return a value as a scenario spells it, as code in a table's cell."""
    spelled = json.dumps(value, ensure_ascii=False).replace("|", "\\|")
    return f"`{spelled}`"


def _alone(schema: Mapping[str, Any], unit: str, linked: Callable[[Sequence[str]], str]) -> str:
    """Return the type of a schema that is neither a model nor one of several."""
    if "const" in schema:
        return code(schema["const"])
    if "enum" in schema:
        return ", ".join(map(code, schema["enum"]))
    if schema["type"] == "array":
        length = f" of {schema['maxItems']}" if schema.get("minItems") == schema.get("maxItems", 0) else ""
        members = schema.get("items") or schema["prefixItems"][0]
        return f"list{length}: {in_words(members, unit, linked)}"
    if schema["type"] == "object":
        by = schema.get("propertyNames", {}).get("enum", ())
        names = f"of {', '.join(f'`{name}`' for name in by)}" if by else "by name"
        values = schema.get("additionalProperties") or next(iter(schema["patternProperties"].values()))
        return f"table {names}: {in_words(values, unit, linked)}"
    if schema.get("format") == "date-time":
        return "date and time"
    numeric = schema["type"] in {"integer", "number"}
    parts = (_PLAIN[schema["type"]], unit, _bounds(schema)) if numeric else (_PLAIN[schema["type"]],)
    return ", ".join(filter(None, parts))


def _bounds(schema: Mapping[str, Any]) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and high is not None:
        return f"{_number(low)} to {_number(high)}"
    signs = (("≥", "minimum"), (">", "exclusiveMinimum"), ("≤", "maximum"), ("<", "exclusiveMaximum"))
    return ", ".join(f"{sign} {_number(schema[bound])}" for sign, bound in signs if bound in schema)


def _number(value: float) -> str:
    return f"{value:,.15g}".replace("-", "−")
