"""Chat templates of model files: those of real models, and hostile ones.

Each real one is a small template of our own that does what a family of models does in its own.
"""

from __future__ import annotations

import time

import pytest

from engine.errors import ModelError
from engine.translation.chat import ChatTemplate
from engine.translation.templates import Template

MESSAGE = Template.parse("Say in {target_lang}:\n\n{text}")
NAMES = {"target_lang": "Japanese"}


def around(source: str, message: Template = MESSAGE) -> tuple[str, str]:
    """What stands around the text."""
    return ChatTemplate(source, "<s>", "</s>").wrap(message).around(NAMES)


def refusal(source: str) -> str:
    """What a template that cannot be used is refused with."""
    with pytest.raises(ModelError) as refused:
        around(source)
    return refused.value.sentence


def test_gemma_2_refuses_system_messages_and_trims() -> None:
    source = """\
{{ bos_token }}
{%- if messages[0]['role'] == 'system' %}{{ raise_exception('No system role') }}{% endif %}
{%- for message in messages %}
  {%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}
    {{- raise_exception('Roles must alternate') }}
  {%- endif %}
  {%- set role = 'model' if message['role'] == 'assistant' else message['role'] %}
  {{- '<start_of_turn>' + role + '\n' + message['content'] | trim + '<end_of_turn>\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"""
    assert around(source) == (
        "<s><start_of_turn>user\nSay in Japanese:\n\n",
        "<end_of_turn>\n<start_of_turn>model\n",
    )


def test_gemma_3_takes_texts_and_lists_of_parts() -> None:
    source = """\
{%- set prefix = messages[0]['content'] + '\n\n' if messages[0]['role'] == 'system' else '' -%}
{%- for message in messages -%}
  {{ '<start_of_turn>' + message['role'] + '\n' + (prefix if loop.first else '') }}
  {%- if message['content'] is string -%}
    {{ message['content'] | trim }}
  {%- elif message['content'] is iterable -%}
    {%- for item in message['content'] -%}
      {{ '<start_of_image>' if item['type'] == 'image' else item['text'] | trim }}
    {%- endfor -%}
  {%- endif -%}
  {{ '<end_of_turn>\n' }}
{%- endfor -%}
{{ '<start_of_turn>model\n' if add_generation_prompt }}"""
    assert around(source) == (
        "<start_of_turn>user\nSay in Japanese:\n\n",
        "<end_of_turn>\n<start_of_turn>model\n",
    )


def test_llama_3_1_names_the_day_which_is_always_the_same() -> None:
    source = """\
{{- bos_token }}
{%- if not tools is defined %}{%- set tools = none %}{%- endif %}
{%- set day = strftime_now("%d %b %Y") if strftime_now is defined else "?" %}
{{- "<|start_header_id|>system<|end_header_id|>\n\nToday Date: " + day + "\n\n<|eot_id|>" }}
{%- if tools is not none %}{{- raise_exception("No tools were given") }}{%- endif %}
{%- for message in messages %}
    {%- if not (message.role == 'ipython' or 'tool_calls' in message) %}
        {{- '<|start_header_id|>' + message.role + '<|end_header_id|>\n\n' }}
        {{- message['content'] | trim + '<|eot_id|>' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\n\n' }}
{%- endif %}"""
    assert around(source) == (
        "<s><|start_header_id|>system<|end_header_id|>\n\nToday Date: 26 Jul 2024\n\n<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\nSay in Japanese:\n\n",
        "<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
    )


def test_qwen_3_does_not_think() -> None:
    source = """\
{%- set ns = namespace(multi_step=true, last=messages|length - 1) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if ns.multi_step and message.role == "user" and message.content is string
        and not message.content.startswith('<tool_response>') %}
        {%- set ns.multi_step = false %}
        {%- set ns.last = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {{- '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\n\n</think>\n\n' }}
    {%- endif %}
{%- endif %}"""
    assert around(source) == (
        "<|im_start|>user\nSay in Japanese:\n\n",
        "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n",
    )


def test_euro_llm_has_a_system_message_of_its_own() -> None:
    source = """\
{% for message in messages %}
{% if loop.first and message['role'] != 'system' %}
{{ '<|im_start|>system\n<|im_end|>' }}
{% endif %}
{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}
{%- endfor %}
{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"""
    assert around(source) == (
        "<|im_start|>system\n<|im_end|>\n<|im_start|>user\nSay in Japanese:\n\n",
        "<|im_end|>\n<|im_start|>assistant\n",
    )


def test_aya_expanse_sorts_the_system_message_out() -> None:
    source = """\
{{ bos_token }}{% if documents %}{% set preamble = documents | tojson(indent=2) %}{% endif %}
{%- if messages[0]['role'] == 'system' %}
{%- set rest = messages[1:] %}{% set system = messages[0]['content'] %}
{%- else %}{% set rest = messages %}{% set system = false %}{% endif %}
{%- for message in rest %}
  {%- set content = message['content'] %}
  {%- if message['role'] == 'user' %}
    {{- '<|START_OF_TURN_TOKEN|><|USER_TOKEN|>' + content.strip() + '<|END_OF_TURN_TOKEN|>' }}
  {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>' }}{% endif %}"""
    assert around(source) == (
        "<s><|START_OF_TURN_TOKEN|><|USER_TOKEN|>Say in Japanese:\n\n",
        "<|END_OF_TURN_TOKEN|><|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>",
    )


def test_mistral_leaves_a_loop_early_and_prints_json() -> None:
    source = """\
{{- bos_token }}
{%- if strftime_now("%Y") | int < 2024 %}{{- raise_exception("Too early") }}{%- endif %}
{%- for message in messages %}
    {%- if message.role not in ["user", "assistant"] %}{%- continue %}{%- endif %}
    {{- "[AVAILABLE_TOOLS]" + ({"<é>": [1]} | tojson) + "[INST] " + message.content + "[/INST]" }}
    {%- break %}
{%- endfor %}"""
    assert around(source) == (
        '<s>[AVAILABLE_TOOLS]{"<é>": [1]}[INST] Say in Japanese:\n\n',
        "[/INST]",
    )


def test_a_template_that_marks_what_was_generated_is_understood() -> None:
    source = (
        "{% for m in messages %}{% generation %}<{{ m.content }}>{% endgeneration %}{% endfor %}"
    )
    assert around(source) == ("<Say in Japanese:\n\n", ">")


def test_a_template_that_takes_parts_only_gets_parts() -> None:
    source = """\
{%- for part in messages[0].content %}{% if part.type == 'text' %}<{{ part.text }}>{% endif %}
{%- endfor %}"""
    assert around(source) == ("<Say in Japanese:\n\n", ">")


def test_a_template_that_needs_a_system_message_gets_one() -> None:
    source = """\
{%- if messages[0].role != 'system' %}{{- raise_exception('No system message') }}{% endif %}
{%- for message in messages %}[{{ message.role }}]{{ message.content }}{% endfor %}"""
    assert around(source) == ("[system]You translate texts.[user]Say in Japanese:\n\n", "")


def test_white_space_at_the_message_s_ends_follows_the_template() -> None:
    message = Template.parse("  {text}\n")
    assert around("<{{ messages[0].content }}>", message) == ("<  ", "\n>")
    assert around("<{{ messages[0].content | trim }}>", message) == ("<", ">")


# Templates that cannot be used


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("Hello.", "does not give the message back once"),
        ("{{ messages[0].content }}{{ messages[0].content }}", "does not give the message back"),
        ("{{ messages[0].content | upper }}", "does not give the message back once"),
        ("{{ messages[0].content | replace('mark', '') }}", "does not give the message back once"),
        ("{{ messages[0].content }}{{ 'x' * 200000 }}", "does not give the message back once"),
        ("{% if %}", "TemplateSyntaxError"),
        ("{{ nothing.more }}", "UndefinedError"),
        ("{{ raise_exception('Not today.') }}", "TemplateError Not today. Give"),
        ("{% include '/etc/passwd' %}", "TypeError"),
        ("{{ ''.__class__.__mro__[1].__subclasses__() }}", "SecurityError"),
        ("{{ cycler.__init__.__globals__.os.system('true') }}", "SecurityError"),
        ("{{ messages.append(1) }}", "SecurityError"),
        ("{% for i in range(10**9) %}{% endfor %}", "OverflowError"),
        ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "RecursionError"),
        ("{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}", "RecursionError"),
        ("{{ 'x' * 10**11 }}", "MemoryError"),
    ],
)
def test_a_template_that_fails_is_a_sentence(source: str, reason: str) -> None:
    sentence = refusal(source)
    assert reason in sentence
    assert sentence.endswith("Give the model's entry a prompt template of its own (chat: false).")
    assert len(sentence) < 700


@pytest.mark.parametrize(
    "source",
    [
        "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
        "{{ '%9999999999d' % 1 }}",
        "{% set n = namespace(a='x') %}{% for i in range(60) %}{% set n.a = n.a * 2 %}{% endfor %}",
        "{{ (10**5000)**5000 }}",
    ],
    ids=["endless loop", "wide field", "doubling text", "huge number"],
)
def test_a_template_that_would_never_end_is_stopped(source: str) -> None:
    begun = time.monotonic()
    assert "cannot be used" in refusal(source)
    assert time.monotonic() - begun < 45
