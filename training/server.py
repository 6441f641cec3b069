"""A running Babelbrook as translator, so that scores are those that a user gets."""

from __future__ import annotations

import json
from collections.abc import Sequence
from urllib.request import Request, urlopen

TEXTS_PER_REQUEST = 32
TIMEOUT_SECONDS = 300


class ServerTranslator:
    """Asks `POST /translate` of a Babelbrook at `url`, of its selected model if none is named."""

    def __init__(self, url: str, model: str | None = None) -> None:
        self.url = url.rstrip("/") + "/translate"
        self.model = model

    def __call__(self, texts: Sequence[str], source_lang: str, target_lang: str) -> list[str]:
        """Translate texts. Raises `urllib.error.HTTPError` where the server refuses."""
        answers: list[str] = []
        for start in range(0, len(texts), TEXTS_PER_REQUEST):
            answers += self._ask(texts[start : start + TEXTS_PER_REQUEST], source_lang, target_lang)
        return answers

    def _ask(self, texts: Sequence[str], source_lang: str, target_lang: str) -> list[str]:
        body: dict[str, object] = {
            "text": list(texts),
            "source_lang": source_lang,
            "target_lang": target_lang,
            # A memory of earlier answers would be measured instead of the model.
            "cache": False,
            # One sentence that the model cannot translate is not to end the measurement.
            "on_failure": "keep_source",
        }
        if self.model is not None:
            body["model"] = self.model
        headers = {"Content-Type": "application/json"}
        request = Request(self.url, json.dumps(body).encode(), headers)
        with urlopen(request, timeout=TIMEOUT_SECONDS) as response:
            found: list[str] = json.load(response)["translation"]
        return found
