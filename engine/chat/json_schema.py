"""From a JSON schema to a grammar: every text of it is JSON that fits the schema, without blanks.

llama.cpp ends the process for some grammars, and what a token costs grows with the number of ways
in which the text so far can be read. So a schema that is too large, too deep or too ambiguous is
refused here, and so is every keyword that a grammar cannot keep.

Grammars: https://github.com/ggml-org/llama.cpp/blob/master/grammars/README.md
Schemas: https://json-schema.org/draft/2020-12/json-schema-validation
"""

from __future__ import annotations

import json
import re
from itertools import groupby
from typing import Any

from engine.errors import BadRequest

_MOST_RULES = 2000
_MOST_LOOKS = 20_000  # at schemas inside the schema, which references can multiply
_DEEPEST = 32
_MOST_CONSTANTS = 200  # of one enum
_MOST_PROPERTIES = 100  # of one object
_MOST_BRANCHES = 32  # of all unions whose branches begin alike
_MOST_CHARACTERS = 20_000  # of all names and constants
_MOST_ITEMS, _LONGEST_STRING = 200, 1000  # llama.cpp repeats nothing more than 2,000 times

_ANNOTATIONS = {
    *("title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly"),
    *("$schema", "$id", "$comment", "$defs", "definitions"),
}
_KEYWORDS: dict[str, set[str]] = {
    "object": {"properties", "required", "additionalProperties"},
    "array": {"items", "minItems", "maxItems"},
    "string": {"minLength", "maxLength", "format"},
    "number": set(),
    "integer": set(),
    "boolean": set(),
    "null": set(),
}
# The first characters of the texts of a type.
_BEGINNINGS = {
    "object": "{",
    "array": "[",
    "string": '"',
    "number": "0",
    "integer": "0",
    "boolean": "tf",
    "null": "n",
}

_PLAIN = r"""
empty ::= ""
value ::= object | array | string | number | boolean | null
object ::= "{" (string ":" value ("," string ":" value)*)? "}"
array ::= "[" (value ("," value)*)? "]"
string ::= "\"" char* "\""
char ::= [^"\\\x00-\x1F\x7F] | "\\" (["\\/bfnrt] | "u" hex hex hex hex)
hex ::= [0-9a-fA-F]
number ::= integer ("." [0-9]{1,16})? ([eE] [-+]? [0-9]{1,2})?
integer ::= "-"? ("0" | [1-9] [0-9]{0,15})
boolean ::= "true" | "false"
null ::= "null"
date ::= [0-9]{4} "-" (long "-" day31 | short "-" day30 | "02-" day28)
long ::= "0" [13578] | "1" [02]
short ::= "0" [469] | "11"
day28 ::= "0" [1-9] | "1" [0-9] | "2" [0-8]
day30 ::= day28 | "29" | "30"
day31 ::= day30 | "31"
time ::= ([01] [0-9] | "2" [0-3]) ":" [0-5] [0-9] ":" [0-5] [0-9] ("." [0-9]{1,6})? "Z"
uuid ::= hex{8} "-" hex{4} "-" hex{4} "-" hex{4} "-" hex{12}
""".strip()
_FORMATS = {"date": "date", "time": "time", "date-time": 'date "T" time', "uuid": "uuid"}
_SAFE = re.compile(r"[A-Za-z0-9 _.,:{}/-]")


def grammar(schema: dict[str, Any]) -> str:
    """The grammar; its start symbol is `root`. Raises BadRequest for a schema that is refused."""
    compiler = _Compiler(schema)
    root = compiler.rule(schema, 0)
    compiler.finish()
    return "\n".join([f"root ::= {root}", *compiler.rules, _PLAIN]) + "\n"


def _refused(reason: str) -> BadRequest:
    return BadRequest(f"The JSON schema cannot be used: {reason}.", "response_format")


class _Compiler:
    """Writes a rule for each schema inside a schema; references are written out at each use.

    So the grammar is a tree but for references of a schema to one that it is part of. In a tree the
    ways to read a text are no more than its branches that begin alike. In what contains itself they
    would multiply with each turn, so there such branches are refused.
    """

    def __init__(self, root: dict[str, Any]) -> None:
        self.rules: list[str] = []
        self._root = root
        self._looks = self._characters = self._branches = 0
        self._open: dict[str, str] = {"#": self._reserve()}  # rules of references being written
        self._recursive = False

    def finish(self) -> None:
        """Last checks. Raises BadRequest."""
        if self._branches > (0 if self._recursive else _MOST_BRANCHES):
            raise _refused("its alternatives begin too much alike")

    def rule(self, schema: Any, depth: int) -> str:
        """The name of a rule for a schema. Raises BadRequest."""
        self._look(depth)
        if depth == 0:
            return self._define(self._open["#"], self._body(schema, 1))
        return self._define(self._reserve(), self._body(schema, depth + 1))

    def _reserve(self) -> str:
        if len(self.rules) >= _MOST_RULES:
            raise _refused("it is too large")
        self.rules.append("")
        return f"r{len(self.rules) - 1}"

    def _define(self, name: str, body: str) -> str:
        self.rules[int(name[1:])] = f"{name} ::= {body}"
        return name

    def _look(self, depth: int) -> None:
        self._looks += 1
        if depth > _DEEPEST:
            raise _refused(f"it is more than {_DEEPEST} schemas deep")
        if self._looks > _MOST_LOOKS:
            raise _refused("it is too large")

    # The kinds of schemas -----------------------------------------------------------------------

    def _body(self, schema: Any, depth: int) -> str:
        schema = _plain(schema)
        if "$ref" in schema:
            return self._reference(schema["$ref"], depth)
        if "anyOf" in schema:
            return self._union(_branches(schema), depth)
        if "enum" in schema:
            return self._constants(schema["enum"])
        return " | ".join(self._typed(schema, kind, depth) for kind in _types(schema))

    def _typed(self, schema: dict[str, Any], kind: str, depth: int) -> str:
        given = {key: schema[key] for key in _KEYWORDS[kind] if key in schema}
        if kind == "object" and given:
            return self._object(given, depth)
        if kind == "array" and given:
            return self._array(given, depth)
        if kind == "string" and given:
            return _string(given)
        return kind

    def _reference(self, reference: Any, depth: int) -> str:
        target = self._target(reference)
        self._beginnings(target, depth, (reference,))  # refuses what refers to itself alone
        if reference in self._open:
            self._recursive = True
            return self._open[reference]
        self._open[reference] = name = self._reserve()
        self._look(depth)
        self._define(name, self._body(target, depth + 1))
        del self._open[reference]
        return name

    def _target(self, reference: Any) -> Any:
        """What a reference within the schema refers to."""
        if reference == "#":
            return self._root
        found = re.fullmatch(r"#/(\$defs|definitions)/([^/]+)", str(reference))
        group = self._root.get(found[1]) if found else None
        if found is None or not isinstance(group, dict) or found[2] not in group:
            raise _refused(f"it has no '{str(reference)[:100]}'; references go to '#/$defs/NAME'")
        return group[found[2]]

    def _union(self, branches: list[Any], depth: int) -> str:
        beginnings = [self._beginnings(branch, depth, ()) for branch in branches]
        if sum(map(len, beginnings)) > len(set().union(*beginnings)):
            self._branches += len(branches)
        return " | ".join(self.rule(branch, depth) for branch in branches)

    def _beginnings(self, schema: Any, depth: int, seen: tuple[str, ...]) -> set[str]:
        """The characters that a text of this schema may begin with, all digits as one."""
        self._look(depth)
        schema = _plain(schema)
        if "$ref" in schema:
            reference = schema["$ref"]
            if reference in seen:
                raise _refused(f"'{reference[:100]}' refers to nothing but itself")
            return self._beginnings(self._target(reference), depth + 1, (*seen, reference))
        if "anyOf" in schema:
            branches = _branches(schema)
            return set().union(*(self._beginnings(each, depth + 1, seen) for each in branches))
        if "enum" in schema:
            return {_beginning(_dumped(value)) for value in _listed(schema["enum"])}
        return set("".join(_BEGINNINGS[kind] for kind in _types(schema)))

    def _constants(self, values: Any) -> str:
        texts = sorted({_dumped(value) for value in _listed(values)})
        if not 0 < len(texts) <= _MOST_CONSTANTS:
            raise _refused(f"an enum must hold 1 to {_MOST_CONSTANTS} values")
        self._count(texts)
        return _one_of(texts)

    def _count(self, texts: list[str]) -> None:
        self._characters += sum(map(len, texts))
        if self._characters > _MOST_CHARACTERS:
            raise _refused(f"its names and constants have more than {_MOST_CHARACTERS} characters")

    # Objects and arrays -------------------------------------------------------------------------

    def _object(self, schema: dict[str, Any], depth: int) -> str:
        properties, required = schema.get("properties", {}), schema.get("required", [])
        if not isinstance(properties, dict) or len(properties) > _MOST_PROPERTIES:
            raise _refused(f"properties must be an object of at most {_MOST_PROPERTIES}")
        if not isinstance(required, list) or not all(name in properties for name in required):
            raise _refused("what is required must be among the properties")
        if not properties:
            return self._map(schema.get("additionalProperties", True), depth)
        self._count(list(properties))
        members = [
            (
                f"{_literal(_dumped(name))} {_literal(':')} {self.rule(value, depth)}",
                name in required,
            )
            for name, value in properties.items()
        ]
        return f"{_literal('{')} {self._members(members)} {_literal('}')}"

    def _members(self, members: list[tuple[str, bool]]) -> str:
        """The rule for members in their order, any of the optional ones left out."""
        first, later = "empty", "empty"  # for those from here on: none came before, or some did
        for member, required in reversed(members):
            both = f"{member} {later}", f'"," {member} {later}'
            alone = both if required else (f"{both[0]} | {first}", f"{both[1]} | {later}")
            first, later = (self._define(self._reserve(), body) for body in alone)
        return first

    def _map(self, values: Any, depth: int) -> str:
        if values is False:
            return _literal("{}")
        member = f"string {_literal(':')} {self.rule(values, depth)}"
        return f'{_literal("{")} ({member} ("," {member})*)? {_literal("}")}'

    def _array(self, schema: dict[str, Any], depth: int) -> str:
        least, most = _bounds(schema, "minItems", "maxItems", _MOST_ITEMS)
        if most == 0:
            return _literal("[]")
        item = self.rule(schema.get("items", True), depth)
        more = f"{max(0, least - 1)},{'' if most is None else most - 1}"
        items = f'{item} ("," {item}){{{more}}}' if most != 1 else item
        return f"{_literal('[')} {items if least else f'({items})?'} {_literal(']')}"


def _plain(schema: Any) -> dict[str, Any]:
    """The schema without what says nothing, in the one of several spellings that is used here."""
    if schema is True:
        return {}
    if not isinstance(schema, dict):
        raise _refused("each schema in it must be an object")
    plain = {key: value for key, value in schema.items() if key not in _ANNOTATIONS}
    if "const" in plain:
        plain["enum"] = [plain.pop("const")]
    if "oneOf" in plain:
        plain["anyOf"] = plain.pop("oneOf")
    if isinstance(all_of := plain.get("allOf"), list) and len(all_of) == 1:
        plain["anyOf"] = plain.pop("allOf")
    for keyword in ("$ref", "anyOf", "enum"):
        others = plain.keys() - {keyword} - ({"type"} if keyword == "enum" else set())
        if keyword in plain and others:
            raise _refused(f"'{str(min(others))[:100]}' cannot stand beside '{keyword}'")
    return plain


def _types(schema: dict[str, Any]) -> list[str]:
    """The types that a schema allows, by its keywords where it does not say."""
    keywords = schema.keys() - {"type"}
    given = schema.get("type")
    if given is None:
        given = [kind for kind, known in _KEYWORDS.items() if keywords & known] or [*_KEYWORDS]
    types = _listed(given if isinstance(given, list) else [given])
    if not types or not all(isinstance(kind, str) and kind in _KEYWORDS for kind in types):
        raise _refused(f"a type must be one of {', '.join(_KEYWORDS)}")
    unknown = keywords - set().union(*(_KEYWORDS[kind] for kind in types))
    if unknown:
        raise _refused(f"'{str(min(unknown))[:100]}' is not supported")
    # Every integer is a number: both would be two ways to read the same text.
    return [kind for kind in dict.fromkeys(types) if kind != "integer" or "number" not in types]


def _branches(schema: dict[str, Any]) -> list[Any]:
    branches = _listed(schema["anyOf"])
    if not branches:
        raise _refused("a union must have branches")
    return branches


def _listed(values: Any) -> list[Any]:
    if not isinstance(values, list):
        raise _refused("enum, anyOf, oneOf and allOf must be lists")
    return values


def _bounds(schema: dict[str, Any], lower: str, upper: str, limit: int) -> tuple[int, int | None]:
    least, most = schema.get(lower, 0), schema.get(upper)
    for value in (least, limit if most is None else most):
        if type(value) is not int or not 0 <= value <= limit:
            raise _refused(f"'{lower}' and '{upper}' must be whole numbers from 0 to {limit}")
    if most is not None and least > most:
        raise _refused(f"'{lower}' is above '{upper}'")
    return least, most


def _string(schema: dict[str, Any]) -> str:
    if "format" in schema:
        if len(schema) > 1 or schema["format"] not in _FORMATS:
            raise _refused(f"a format must stand alone and be one of {', '.join(_FORMATS)}")
        inner = _FORMATS[schema["format"]]
    else:
        least, most = _bounds(schema, "minLength", "maxLength", _LONGEST_STRING)
        inner = "" if most == 0 else f"char{{{least},{'' if most is None else most}}}"
    return f'"\\"" {inner} "\\""'


def _dumped(value: Any) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    except RecursionError:
        raise _refused("a constant in it is too deep") from None


def _beginning(text: str) -> str:
    return "0" if text[0] in "-0123456789" else text[0]


def _literal(text: str) -> str:
    """A text as GBNF spells it: whatever could mean something there by its number."""
    spelled = "".join(
        character if _SAFE.match(character) else f"\\U{ord(character):08X}" for character in text
    )
    return f'"{spelled}"'


def _one_of(texts: list[str]) -> str:
    """An expression for any of some sorted texts, in which each beginning stands once."""
    first, last = texts[0], texts[-1]
    pairs = zip(first, last, strict=False)
    differ = (place for place, (one, other) in enumerate(pairs) if one != other)
    common = first[: next(differ, min(len(first), len(last)))]
    rests = [text[len(common) :] for text in texts]
    groups = [list(group) for _, group in groupby(filter(None, rests), key=lambda rest: rest[0])]
    if not groups:
        return _literal(common)
    inner = f"({' | '.join(map(_one_of, groups))})"
    return f"{_literal(common) if common else ''} {inner}{'?' if '' in rests else ''}".strip()
