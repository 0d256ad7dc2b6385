"""Servers that speak OpenAI's video API with vllm-omni's references: the operator's own GPUs."""
