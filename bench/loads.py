"""The loads: how many clients of which kind against how many sequences, and how a load is run."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from itertools import islice
from typing import Any

from bench import texts
from bench.client import StreamFailed
from bench.dialects import DIALECTS
from bench.servers import ROOT, Server, engine_seconds

LIMIT_SECONDS = 900.0
_LONG_PROMPTS = 3  # in a round of a load with long prompts
_LONG_TOKENS = 2  # that each of them asks for


@dataclass(frozen=True)
class Load:
    """Clients in a closed loop: each sends its next request when its last has ended.

    `context` counts the tokens of one sequence, prompt and answer. `spread` is how far the output
    tokens of a request lie from their mean, as a share of it; with 0 all streams end together.
    """

    name: str
    clients: int
    sequences: int
    spread: float = 0.0
    long_clients: int = 0
    context: int = 512


def plain(clients: int) -> Load:
    """As many clients as sequences, every request of equal length."""
    return Load(f"{clients} clients" if clients > 1 else "1 client", clients, clients)


STAGGERED = Load("16 clients, staggered ends", 16, 16, spread=0.5)
HALF = Load("8 clients of 16 sequences, staggered", 8, 16, spread=0.5)
# A prompt of 2,000 tokens must leave half of the sequence to its answer.
STEADY = Load("8 clients, no long prompts", 8, 10, spread=0.5, context=4096)
MIXED = Load("8 clients, 2,000-token prompts", 8, 10, spread=0.5, long_clients=1, context=4096)


@dataclass(frozen=True)
class Prompting:
    """How a model is asked: Babelbrook's template, which `prompt` fills in for the others."""

    template: str = "{text}"

    def prompt(self, server: str, text: str) -> str:
        """What is sent: a text to Babelbrook, which puts it into the template, else a prompt."""
        if server == "babelbrook":
            return text
        return self.template.replace("{target_lang}", "ja").replace("{text}", text)


PLAIN = Prompting()


def requests(
    load: Load, server: str, prompting: Prompting, *, tokens: int, number: int, start: int
) -> list[dict[str, Any]]:
    """The groups of a load as `bench.client` reads them.

    `number` requests of `tokens` output tokens on average, from text number `start` on. Where there
    are long prompts, these are what is counted to the end, and the short ones go on meanwhile.
    """
    make_body = DIALECTS[server].body
    counts = texts.token_counts(tokens, load.spread, number, start)
    short = [
        json.dumps(make_body(prompting.prompt(server, text), count))
        for text, count in zip(islice(texts.short_texts(start), number), counts, strict=True)
    ]
    endless = load.long_clients > 0
    groups = [{"clients": load.clients, "bodies": short, "endless": endless}]
    if endless:
        bodies = [
            json.dumps(make_body(prompting.prompt(server, text), _LONG_TOKENS))
            for text in islice(texts.long_texts(start), _LONG_PROMPTS * load.long_clients)
        ]
        groups.append({"clients": load.long_clients, "bodies": bodies, "endless": False})
    return groups


def run(server: Server, groups: list[dict[str, Any]]) -> dict[str, Any]:
    """Run a load against a server; returns its figures (see `bench.client`) and the server's own.

    Raises StreamFailed.
    """
    ours = server.name == "babelbrook"
    before = engine_seconds(server) if ours else {}
    figures = _run_client({"server": server.name, "port": server.port, "groups": groups})
    figures["memory"] = server.peak_memory()
    if ours:
        after = engine_seconds(server)
        figures["engine"] = {name: after[name] - before[name] for name in after}
    figures["rate"] = figures["groups"][0]["tokens"] / figures["seconds"]
    return figures


def _run_client(load: dict[str, Any]) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "bench.client"],
        cwd=ROOT,
        input=json.dumps(load),
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
    )
    if done.returncode:
        raise StreamFailed(f"{load['server']}: {done.stderr.strip()[-2000:]}")
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures
