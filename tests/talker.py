"""A model that has a chat form: the embedded one with a chat template added to its file."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.conftest import MODEL

# The embedded model's own form for German; a turn of the assistant ends with its EOS.
TEMPLATE = """\
{{- bos_token }}
{%- for message in messages %}
  {%- if message.role == 'system' %}{{ raise_exception('No system role') }}{% endif %}
  {%- if message.role == 'user' %}<2de>{{ message.content }}<sep>
  {%- else %}{{ message.content }}{{ eos_token }}{% endif %}
{%- endfor %}"""


def talker(folder: Path) -> Path:
    """Write `talker.gguf` into a folder."""
    file = folder / "talker.gguf"
    command = [sys.executable, "-m", "gguf.scripts.gguf_new_metadata", "--chat-template", TEMPLATE]
    subprocess.run([*command, str(MODEL), str(file)], check=True, capture_output=True)
    return file
