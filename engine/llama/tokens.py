"""From a job to the tokens of its prompt, and what follows from how many there are."""

from __future__ import annotations

from collections.abc import Sequence

from engine.chat.conversation import ChatForm
from engine.errors import ModelError, PromptTooLong
from engine.generation import Decoding, Hints, Job, PromptPart
from engine.llama.model import Model
from engine.models.catalogue import PromptSpec
from engine.translation.prompts import ChatTemplate, PromptForm

_Asked = tuple[str | None, str, Hints]  # languages and hints
_MOST_ASKED = 128  # prompts whose tokens are kept; without hints there is one for a pair
_LONG_TOKEN = 16  # characters; hardly any token is longer


class PromptTokens:
    """Asks a model in the form of its entry, in sequences of `context` tokens.

    Of the model it needs the vocabulary alone. `chat` is None where it has no chat form. Raises
    ModelError where the entry wants a chat template that the file lacks, or that cannot be used.
    """

    def __init__(self, model: Model, spec: PromptSpec, context: int) -> None:
        template = model.chat_template
        chat = ChatTemplate(template, model.bos_text, model.eos_text) if template else None
        self._model = model
        self._form = PromptForm(spec, chat)
        self.chat = ChatForm(chat) if chat and spec.chat else None
        self.context = context
        self._around: dict[_Asked, tuple[list[int], list[int]]] = {}
        self._measured: tuple[tuple[str, _Asked], list[int]] | None = None  # see `fits`

    def fits(self, text: str, asked: _Asked) -> bool:
        """Whether the prompt for a segment leaves half of the sequence to its translation.

        The tokens are kept for `prepare`, since most segments are submitted next.
        """
        half = self.context // 2
        if len(text) > half * _LONG_TOKEN:  # spares the work
            return False
        tokens = self._whole(text, asked)
        self._measured = (text, asked), tokens
        return len(tokens) <= half

    def prepare(self, job: Job) -> tuple[Decoding, list[int]]:
        """A decoding that has not been begun, and the tokens of its prompt, for the caller to keep.

        Raises BadRequest where the prompt needs a source language, PromptTooLong, and ModelError
        for a segment that does not fit.
        """
        beginning = self._model.tokenize(job.answer, special=False) if job.answer else []
        prompt = self._prompt(job) + beginning
        if len(prompt) >= self.context:
            raise ModelError(f"{len(prompt)} tokens do not fit a sequence of {self.context}.")
        decoding = Decoding(job)
        decoding.prompt_tokens, decoding.answer_tokens = len(prompt), len(beginning)
        room = self.context - len(prompt)
        decoding.room = room if job.max_tokens is None else min(room, job.max_tokens)
        return decoding, prompt

    def _prompt(self, job: Job) -> list[int]:
        if job.prompt:
            return self._given(job.prompt)
        key = job.text, (job.source_lang, job.target_lang, job.hints)
        measured = self._measured
        if measured is not None and measured[0] == key:
            self._measured = None
            return measured[1]
        return self._whole(*key)

    def _whole(self, text: str, asked: _Asked) -> list[int]:
        before, after = self._tokens_around(asked)
        inner = self._model.tokenize(text, special=False) if text else []
        return [*before, *inner, *after]

    def _tokens_around(self, asked: _Asked) -> tuple[list[int], list[int]]:
        """The prompt's tokens before and after the text; the same for every text that is asked so.

        What a user gave (hints) is tokenised as the text is, without control tokens.
        """
        if asked not in self._around:
            if len(self._around) >= _MOST_ASKED:
                self._around.clear()
            before, after = self._form.parts(*asked)
            head = self._opened(self._tokenize(before))
            self._around[asked] = head, self._model.tokenize(after, special=True)
        return self._around[asked]

    def _opened(self, tokens: list[int]) -> list[int]:
        """With BOS, which some chat templates spell themselves; it must not come twice."""
        bos = self._model.bos
        return tokens if bos is None or tokens[:1] == [bos] else [bos, *tokens]

    def _tokenize(self, parts: Sequence[PromptPart]) -> list[int]:
        tokens: list[int] = []
        for part in parts:
            tokens += self._model.tokenize(part.text, special=part.trusted)
        return tokens

    def _given(self, parts: Sequence[PromptPart]) -> list[int]:
        """The tokens of a prompt as it is. Raises PromptTooLong."""
        if sum(len(part.text) for part in parts) <= self.context * _LONG_TOKEN:
            tokens = self._opened(self._tokenize(parts))
            if len(tokens) < self.context:
                return tokens
        raise PromptTooLong(f"The prompt is longer than the {self.context} tokens of a sequence.")
