"""Every error a client can see: a status, a code and a sentence that says what to do next.

The wire form is `{"error": <sentence>, "code": <code>}`, as a JSON answer with the status or, once
a stream has begun, as its last event.
"""


class BabelbrookError(Exception):
    """Base of all errors that are told to a client."""

    status = 500
    code = "internal"
    retry_after: float | None = None  # seconds; sent as Retry-After where set

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence


class BadRequest(BabelbrookError):
    """The request cannot be understood; the sentence names the field, `field` by itself."""

    status = 400
    code = "bad_request"

    def __init__(self, sentence: str, field: str | None = None) -> None:
        super().__init__(sentence)
        self.field = field


class PromptTooLong(BadRequest):
    """The prompt fills a whole sequence."""

    code = "context_length_exceeded"


class UnknownLanguage(BabelbrookError):
    """No language, or one that the model cannot do; the sentence lists those it can."""

    status = 400
    code = "unknown_language"


class UnknownModel(BabelbrookError):
    """No model of that name, or none that answers here."""

    status = 404
    code = "unknown_model"


class TextTooLong(BabelbrookError):
    """The text is above `limits.text_bytes`."""

    status = 413
    code = "too_long"


class NotReady(BabelbrookError):
    """No model can answer yet, or the server is shutting down."""

    status = 503
    code = "not_ready"
    retry_after = 2.0


class ShuttingDown(NotReady):
    """The server is draining: what still runs at its deadline ends with this."""

    code = "shutting_down"

    def __init__(self, sentence: str = "The server is shutting down.") -> None:
        super().__init__(sentence)


class ModelUnloaded(NotReady):
    """The model had to make room for another one before a text was finished."""

    code = "model_unloaded"

    def __init__(self) -> None:
        super().__init__("The model had to make room for another one. Please try again.")


class Overloaded(BabelbrookError):
    """The queue is full; `Retry-After` says when a place may be free, by the measured rate."""

    status = 503
    code = "overloaded"

    def __init__(self, sentence: str, retry_after: float) -> None:
        super().__init__(sentence)
        self.retry_after = max(1.0, retry_after)


class CutShort(BabelbrookError):
    """The model stopped for length before it had finished; nothing is ever cut off in silence."""

    status = 422
    code = "cut_short"


class Repetitive(BabelbrookError):
    """The model repeated itself without end; what it repeated is not handed out."""

    status = 422
    code = "repetition"


class DecodeFailed(BabelbrookError):
    """llama.cpp failed to decode; the context was rebuilt and the next request works."""

    status = 500
    code = "decode_failed"


class ModelError(BabelbrookError):
    """A model file, a catalogue entry or a prompt form cannot be used; the sentence says why."""

    status = 500
    code = "model_error"


class UpstreamFailed(BabelbrookError):
    """What decodes elsewhere could not be reached, refused, or broke off; there may be another."""

    status = 502
    code = "upstream_failed"
