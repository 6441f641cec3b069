"""The models that are known: what each is, where its file lies and how it wants to be asked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from engine.errors import ModelError
from engine.translation.languages import WIDELY_SPOKEN


class PromptSpec(BaseModel):
    """How a model is asked.

    `template` holds `{text}` once and, where the model wants them, `{source_lang}` and
    `{target_lang}`. With `chat` it is the user's message inside the chat template of the model file;
    without, it is the whole prompt. `template_auto` is used where the source language is not known.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    template: str
    template_auto: str | None = None
    chat: bool = False
    languages: Literal["code", "name"] = "name"

    @model_validator(mode="after")
    def _has_text(self) -> PromptSpec:
        for template in (self.template, self.template_auto):
            if template is not None and template.count("{text}") != 1:
                raise ValueError("a prompt template holds {text} exactly once")
        return self


PLAIN_CHAT = PromptSpec(
    template="Translate the following text from {source_lang} into {target_lang}. Answer with the"
    " translation only, without notes or quotation marks.\n\n{text}",
    template_auto="Translate the following text into {target_lang}. Answer with the translation"
    " only, without notes or quotation marks.\n\n{text}",
    chat=True,
)


class SamplingDefaults(BaseModel):
    """What a model's makers recommend; a request's own fields come before these."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    temperature: float = Field(0.0, ge=0)
    top_k: int = Field(40, ge=0)
    top_p: float = Field(0.95, gt=0, le=1)
    min_p: float = Field(0.05, ge=0, le=1)
    repeat_penalty: float = Field(1.0, gt=0)


class ModelEntry(BaseModel):
    """One model of the catalogue."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1, max_length=200)
    file: Path
    parameters: int | None = None
    licence: str | None = None
    source_langs: tuple[str, ...] = WIDELY_SPOKEN
    target_langs: tuple[str, ...] = WIDELY_SPOKEN
    prompt: PromptSpec = PLAIN_CHAT
    segment: Literal["sentence", "paragraph"] = "paragraph"
    sampling: SamplingDefaults = SamplingDefaults()


EMBEDDED = ModelEntry(
    name="tatoeba-mini",
    file=Path("tatoeba-mini-q8_0.gguf"),
    parameters=11_462_720,
    licence="CC BY 2.0 FR (training data: tatoeba.org via manythings.org/anki)",
    source_langs=("en",),
    target_langs=("ja", "de", "fr", "es", "zh"),
    prompt=PromptSpec(template="<2{target_lang}>{text}<sep>", languages="code"),
    segment="sentence",
)

SHIPPED = (EMBEDDED,)


def find(name: str, folder: Path, entries: Iterable[Mapping[str, Any]] = ()) -> ModelEntry:
    """The entry called `name`, or a plain one for the path of a .gguf file; its `file` made absolute.

    `entries` are the user's own, from the configuration; they come before the shipped ones. Raises
    ModelError for a bad entry or an unknown name.
    """
    known = {entry.name: entry for entry in (*SHIPPED, *_parse(entries))}
    if name in known:
        entry = known[name]
        return entry.model_copy(update={"file": folder / entry.file})
    if name.endswith(".gguf"):
        path = Path(name).expanduser()
        beside = folder / path
        file = beside if not path.exists() and beside.exists() else path
        return ModelEntry(name=path.stem, file=file.absolute())
    raise ModelError(
        f"There is no model '{name}': it is neither an entry ({', '.join(known)}) nor the path of a"
        " .gguf file."
    )


def _parse(entries: Iterable[Mapping[str, Any]]) -> list[ModelEntry]:
    parsed = []
    for number, entry in enumerate(entries, 1):
        try:
            parsed.append(ModelEntry.model_validate(entry))
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"])
            label = entry.get("name", f"number {number}")
            raise ModelError(
                f"The entry {label} in models.entries is wrong: {place or 'entry'}: {first['msg']}"
            ) from None
    return parsed
