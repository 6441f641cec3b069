"""The models that are known: what each is, where its file lies and how it wants to be asked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
)

from engine.errors import ModelError, UnknownLanguage
from engine.translation.languages import WIDELY_SPOKEN, canonical
from engine.translation.templates import Template


def _template(source: str) -> str:
    Template.parse(source)
    return source


def _template_auto(source: str) -> str:
    if Template.parse(source).count("source_lang"):
        raise ValueError("it is for texts of unknown language and cannot hold {source_lang}")
    return source


def _code(value: object) -> str:
    if value is False:
        raise ValueError("YAML reads the code no as false: write it in quotes")
    if not isinstance(value, str):
        raise ValueError("a language must be a text")
    try:
        return canonical(value)
    except UnknownLanguage as error:
        raise ValueError(error.sentence) from None


def _unique(codes: tuple[str, ...]) -> tuple[str, ...]:
    twice = next((code for number, code in enumerate(codes) if code in codes[:number]), None)
    if twice is not None:
        raise ValueError(f"{twice} is there twice")
    return codes


# BCP-47 codes; what a person writes (jpn, Japanese, pt_BR) becomes one.
Languages = Annotated[
    tuple[Annotated[str, BeforeValidator(_code)], ...],
    Field(min_length=1),
    AfterValidator(_unique),
]


class PromptSpec(BaseModel):
    """How a model is asked.

    `template` holds `{text}` once and, where the model wants them, `{source_lang}` and
    `{target_lang}`. With `chat` it is the user's message inside the model file's chat template,
    without it is the whole prompt. `template_auto` is used where the source language is not known.
    Languages are named in English ("Japanese") or by their BCP-47 codes.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    template: Annotated[str, AfterValidator(_template)]
    template_auto: Annotated[str, AfterValidator(_template_auto)] | None = None
    chat: bool = False
    languages: Literal["code", "name"] = "name"


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

    temperature: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    top_k: int = Field(default=40, ge=0)
    top_p: float = Field(default=0.95, gt=0, le=1)
    min_p: float = Field(default=0.05, ge=0, le=1)
    repeat_penalty: float = Field(default=1.0, gt=0, allow_inf_nan=False)


class ModelEntry(BaseModel):
    """One model of the catalogue. `source_langs` and `target_langs` are BCP-47 codes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1, max_length=200)
    file: Path
    parameters: int | None = None
    licence: str | None = None
    source_langs: Languages = WIDELY_SPOKEN
    target_langs: Languages = WIDELY_SPOKEN
    prompt: PromptSpec = PLAIN_CHAT
    segment: Literal["sentence", "paragraph"] = "paragraph"
    sampling: SamplingDefaults = SamplingDefaults()


# Checking these entries loads the tables of languages, 0.15 s that no request has to wait for then.
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
    """The entry called `name`, or a plain one for a .gguf file; its `file` is absolute.

    `entries` are the user's own, from the configuration; they come before the shipped ones. A file
    is looked for in `folder` where its path is relative; that of a `name` in the working folder
    first. Raises ModelError for a bad entry or an unknown name.
    """
    known = {entry.name: entry for entry in (*SHIPPED, *_parse(entries))}
    if name in known:
        entry = known[name]
        return entry.model_copy(update={"file": (folder / _expanded(entry.file)).absolute()})
    if name.lower().endswith(".gguf"):
        path = _expanded(Path(name))
        beside = folder / path
        file = beside if not path.exists() and beside.exists() else path
        return ModelEntry(name=path.stem, file=file.absolute())
    raise ModelError(
        f"There is no model '{name}': it is neither an entry ({', '.join(known)}) nor the path of a"
        " .gguf file."
    )


def _expanded(path: Path) -> Path:
    """With "~" as the home folder, where there is one of that name."""
    try:
        return path.expanduser()
    except RuntimeError:
        return path


def _parse(entries: Iterable[Mapping[str, Any]]) -> list[ModelEntry]:
    parsed: dict[str, ModelEntry] = {}
    for number, fields in enumerate(entries, 1):
        try:
            entry = ModelEntry.model_validate(fields)
        except ValidationError as error:
            raise _wrong(fields.get("name"), number, error) from None
        if entry.name in parsed:
            raise ModelError(f"Two entries of models.entries are called '{entry.name}'.")
        parsed[entry.name] = entry
    return list(parsed.values())


def _wrong(name: object, number: int, error: ValidationError) -> ModelError:
    """A sentence that names the entry, the field and what is wrong with it."""
    first = error.errors(include_url=False)[0]
    entry = f"'{name[:100]}'" if isinstance(name, str) and name else f"number {number}"
    field = ".".join(str(part) for part in first["loc"])
    reason = first["msg"].removeprefix("Value error, ")
    return ModelError(f"The entry {entry} of models.entries is wrong: {field}: {reason}.")
