"""Requests by OpenTelemetry's names for generative AI, for dashboards that know those.

https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-metrics/, written as Prometheus does.
"""

from __future__ import annotations

from typing import Any

from prometheus_client import CollectorRegistry, Histogram

_SECONDS = (0.001, 0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48)
_TOKENS = (1, 4, 16, 64, 256, 1024, 4096, 16384, 65536)
_LABELS = ("gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model")


class GenAi:
    """The histograms; each request is counted in all of them when it has ended."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def histogram(name: str, text: str, buckets: tuple[float, ...], *more: str) -> Histogram:
            labels = (*_LABELS, *more)
            return Histogram(f"gen_ai_{name}", text, labels, buckets=buckets, registry=registry)

        self._duration = histogram("server_request_duration_seconds", "A request.", _SECONDS)
        self._ttft = histogram("server_time_to_first_token_seconds", "To the first text.", _SECONDS)
        self._pace = histogram(
            "server_time_per_output_token_seconds", "From one token to the next.", _SECONDS
        )
        self._tokens = histogram(
            "client_token_usage", "Tokens of a request.", _TOKENS, "gen_ai_token_type"
        )

    def count(self, model: str, seconds: float, fields: dict[str, Any]) -> None:
        """Count a request that translated, by what the access log tells of it."""
        if "tokens" not in fields:
            return
        labels = ("text_completion", "babelbrook", model)
        self._duration.labels(*labels).observe(seconds)
        self._tokens.labels(*labels, "input").observe(fields["prompt_tokens"])
        self._tokens.labels(*labels, "output").observe(fields["tokens"])
        if "ttft_ms" in fields:
            first = fields["ttft_ms"] / 1000
            self._ttft.labels(*labels).observe(first)
            if fields["tokens"] > 1:
                rest = max(0.0, seconds - first)
                self._pace.labels(*labels).observe(rest / (fields["tokens"] - 1))
