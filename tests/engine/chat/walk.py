"""Lets random tokens follow the grammars of random schemas: a process that the tests start.

    python -m tests.engine.chat.walk SEED COUNT

Writes a JSON line for each schema: the schema, "refused", or else the text, and whether it came to
its end. What ends this process would end the server.
"""

from __future__ import annotations

import json
import random
import sys
from typing import Any

import numpy as np

from engine.chat.json_schema import grammar
from engine.errors import BadRequest
from engine.generation import Sampling
from engine.llama.grammar import NOTHING_FITS, GrammarSampler
from engine.llama.model import Model
from tests.conftest import MODEL

_LONGEST = 200  # tokens
Value = Any


class Chance:
    """Stands for a context whose logits are drawn; low ids, with the end among them, come often."""

    def __init__(self, seed: int, size: int) -> None:
        self._random = np.random.Generator(np.random.PCG64(seed))
        self._bias = np.linspace(3, 0, size, dtype=np.float32)

    def logits_of(self, index: int) -> Value:
        return self._random.standard_normal(len(self._bias), np.float32) + self._bias


def schema(draw: random.Random, depth: int = 0) -> Value:
    """Any kind of schema, wrong ones among them."""
    if draw.random() < 0.03:
        return odd(draw, depth)
    return draw.choice([leaf, leaf, array, obj, obj, union] if depth < 5 else [leaf])(draw, depth)


def leaf(draw: random.Random, depth: int) -> Value:
    return draw.choice(
        [
            {"type": draw.choice(["string", "number", "integer", "boolean", "null"])},
            {"type": "string", "minLength": draw.randrange(3), "maxLength": draw.randrange(2, 9)},
            {"type": "string", "maxLength": 1000},
            {"type": "string", "format": draw.choice(["date", "time", "date-time", "uuid"])},
            {"enum": [value(draw) for _ in range(draw.randrange(1, 8))]},
            {"const": value(draw)},
            {"type": draw.sample(["string", "integer", "number", "null", "object"], 2)},
            {"$ref": draw.choice(["#", "#/$defs/a", "#/$defs/b"])},
            {},
            True,
        ]
    )


def value(draw: random.Random) -> Value:
    letters = 'ab"\\\n\x00é\U0001f338/<'
    text = "".join(draw.choices(letters, k=draw.randrange(6)))
    return draw.choice([text, draw.randrange(-20, 200), 1.5, None, True, [text], {text: 1}])


def array(draw: random.Random, depth: int) -> Value:
    bounds = {"minItems": draw.randrange(3), "maxItems": draw.choice([2, 5, 200])}
    return {"type": "array", "items": schema(draw, depth + 1), **draw.choice([{}, bounds])}


def obj(draw: random.Random, depth: int) -> Value:
    names = [str(value(draw)) for _ in range(draw.randrange(6))]
    properties = {name: schema(draw, depth + 1) for name in names}
    required = [name for name in properties if draw.random() < 0.5]
    return {"type": "object", "properties": properties, "required": required}


def union(draw: random.Random, depth: int) -> Value:
    branches = [schema(draw, depth + 1) for _ in range(draw.randrange(1, 4))]
    return {draw.choice(["anyOf", "oneOf"]): branches}


def odd(draw: random.Random, depth: int) -> Value:
    """What is refused, most of it."""
    return draw.choice(
        [
            *({"type": "thing"}, {"pattern": "a*"}, {"anyOf": []}, {"items": 1}, 7, {"enum": {}}),
            *({"minItems": -1}, {"maxItems": 201}, {"maxLength": 10**9}, {"minItems": 2**70}),
            *({"$ref": "#/$defs/none"}, {"$ref": "http://127.0.0.1/"}, {"$ref": 3}, {"enum": []}),
            *({"properties": {"a": {}}, "required": ["b"]}, {"format": "x"}, {"minimum": 1}),
            *({"allOf": [schema(draw, depth + 1)]}, {"anyOf": [{"type": "object"}] * 40}),
        ]
    )


def walk(model: Model, text: str, seed: int) -> tuple[str, bool]:
    """What random tokens make of a grammar, and whether they came to the end."""
    sampling = Sampling(temperature=seed % 2, top_k=0, top_p=1, min_p=0, seed=seed)
    sampler = GrammarSampler(sampling, text, model)
    context: Any = Chance(seed, model.vocab_size)
    made = b""
    try:
        for _ in range(_LONGEST):
            token = sampler.sample(context, 0)
            if token == NOTHING_FITS or token in model.end_tokens:
                return made.decode("utf-8", "replace"), token != NOTHING_FITS
            made += model.pieces[token]
        return made.decode("utf-8", "replace"), False
    finally:
        sampler.close()


def main(seed: int, count: int) -> None:
    model = Model(MODEL, n_gpu_layers=0)
    for number in range(seed, seed + count):
        draw = random.Random(number)
        drawn = schema(draw)
        if isinstance(drawn, dict):
            drawn = {**drawn, "$defs": {name: schema(draw, 3) for name in "ab"}}
        line: dict[str, Any] = {"schema": drawn}
        try:
            text = grammar(drawn)
        except BadRequest as refused:
            line["refused"] = refused.sentence
        else:
            line["text"], line["ended"] = walk(model, text, number)
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
