"""The pipeline that makes the embedded translation model, from a corpus to a GGUF file."""
