"""A server some of whose functions fail when told to."""

from __future__ import annotations

# A file names what is to fail, each once, with its next call; the last one takes the file away. A
# word without a colon says how: "exit", or what llama_decode returns.
FAILING = """
import importlib, os, sys
import server
from engine.llama.context import DecodeError

FAULT = os.environ["FAULT"]

def error(kind):
    if kind == ["exit"]:
        return SystemExit("injected")
    return DecodeError(int(kind[0])) if kind else ZeroDivisionError("injected")

def take(place):
    with open(FAULT) as file:
        words = file.read().split()
    if place not in words:
        return
    kind = [word for word in words if ":" not in word]
    words.remove(place)
    if words == kind:
        os.unlink(FAULT)
    else:
        with open(FAULT, "w") as file:
            file.write(" ".join(words))
    raise error(kind)

def failing(place, function):
    def fail_or_call(*args, **more):
        if os.path.exists(FAULT):
            take(place)
        return function(*args, **more)
    return fail_or_call

for place in sys.argv.pop(1).split():
    module, _, path = place.partition(":")
    owner, (*classes, name) = importlib.import_module(module), path.split(".")
    for each in classes:
        owner = getattr(owner, each)
    setattr(owner, name, failing(place, getattr(owner, name)))

sys.exit(server.main(sys.argv[1:]))
"""


def texts(answer: bytes) -> list[bytes]:
    """The data of all frames."""
    return [line for line in answer.split(b"\n") if line.startswith(b"data: ")]
