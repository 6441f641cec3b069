"""A server some of whose functions fail when told to."""

from __future__ import annotations

# Those that a file names fail once, each with its next call; the last one takes the file away.
FAILING = """
import importlib, os, sys
import server

FAULT = os.environ["FAULT"]
ERRORS = {"": ZeroDivisionError, "exit": SystemExit}

def failing(place, function):
    def fail_or_call(*args, **more):
        try:
            with open(FAULT) as file:
                wanted = file.read().split()
        except FileNotFoundError:
            wanted = []
        if place in wanted:
            wanted.remove(place)
            if wanted:
                with open(FAULT, "w") as file:
                    file.write(" ".join(wanted))
            else:
                os.unlink(FAULT)
            raise ERRORS[os.environ.get("FAULT_KIND", "")]("injected")
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
