"""Chat templates of the common families, with and without marks, and a tokenizer for each.

What stands between ``[[`` and ``]]`` is what the assistant writes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mixwise.data.chat_template import ChatTemplate
from mixwise.data.tokenizer import BaseTokenizer
from mixwise.records.conversation import Conversation


@dataclass(frozen=True)
class Family:
    """A template, its special tokens, and whether it takes a system turn."""

    text: str
    tokens: tuple[str, ...]
    eos: str
    bos: str | None = None
    takes_system: bool = True

    def template(self, *, marked: bool) -> str:
        marks = ("{% generation %}", "{% endgeneration %}") if marked else ("", "")
        return self.text.replace("[[", marks[0]).replace("]]", marks[1])


_CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' }}"
    "{% if m.role == 'assistant' %}[[{{ m.content + '<|im_end|>\\n' }}]]"
    "{% else %}{{ m.content + '<|im_end|>\\n' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
_TOOLS = (
    "{% if tools %}{{ '<|im_start|>system\\n' }}{% for t in tools %}{{ t | tojson }}{% endfor %}"
    "{{ '<|im_end|>\\n' }}{% elif messages[0].role != 'system' %}"
    "{{ '<|im_start|>system\\nYou are a helpful assistant.<|im_end|>\\n' }}{% endif %}"
)
_CALLS = (
    "{% for m in messages %}{% if m.role == 'tool' %}"
    "{{ '<|im_start|>user\\n<tool_response>' + m.content + '</tool_response><|im_end|>\\n' }}"
    "{% elif m.role == 'assistant' %}{{ '<|im_start|>assistant\\n' }}[[{{ m.content or '' }}"
    "{% for c in m.tool_calls or [] %}{{ '<tool_call>' + (c.function | tojson) + '</tool_call>' }}"
    "{% endfor %}{{ '<|im_end|>\\n' }}]]{% else %}"
    "{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
_LLAMA3 = (
    "{% for m in messages %}{% if loop.first %}{{ bos_token }}{% endif %}"
    "{{ '<|start_header_id|>' + m.role + '<|end_header_id|>\\n\\n' }}"
    "{% if m.role == 'assistant' %}[[{{ m.content | trim + '<|eot_id|>' }}]]"
    "{% else %}{{ m.content | trim + '<|eot_id|>' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}"
    "{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}"
)
_GEMMA = (
    "{{ bos_token }}{% if messages[0].role == 'system' %}"
    "{{ raise_exception('System role not supported') }}{% endif %}{% for m in messages %}"
    "{% if m.role == 'assistant' %}{{ '<start_of_turn>model\\n' }}"
    "[[{{ m.content | trim + '<end_of_turn>\\n' }}]]"
    "{% else %}{{ '<start_of_turn>' + m.role + '\\n' + m.content | trim + '<end_of_turn>\\n' }}"
    "{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<start_of_turn>model\\n' }}{% endif %}"
)
_MISTRAL = (
    "{{ bos_token }}{% if messages[0].role == 'system' %}"
    "{% set system = messages[0].content + '\\n\\n' %}{% set turns = messages[1:] %}"
    "{% else %}{% set system = '' %}{% set turns = messages %}{% endif %}"
    "{% for m in turns %}{% if m.role == 'user' %}"
    "{{ '[INST] ' + (system if loop.first else '') + m.content + ' [/INST]' }}"
    "{% else %}[[{{ ' ' + m.content + eos_token }}]]{% endif %}{% endfor %}"
)
_PHI3 = (
    "{% for m in messages %}{{ '<|' + m.role + '|>\\n' }}"
    "{% if m.role == 'assistant' %}[[{{ m.content + '<|end|>\\n' }}]]"
    "{% else %}{{ m.content + '<|end|>\\n' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% else %}[[{{ eos_token }}]]{% endif %}"
)
_ZEPHYR = (
    "{% for m in messages %}{{ '<|' + m.role + '|>\\n' }}"
    "{% if m.role == 'assistant' %}[[{{ m.content + eos_token + '\\n' }}]]"
    "{% else %}{{ m.content + eos_token + '\\n' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% endif %}"
)
_IM = ("<|im_start|>", "<|im_end|>")
FAMILIES = {
    "chatml": Family(_CHATML, _IM, "<|im_end|>"),
    "qwen": Family(_TOOLS + _CALLS, ("<|endoftext|>", *_IM), "<|im_end|>"),
    "llama3": Family(
        _LLAMA3,
        ("<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
        "<|eot_id|>",
        "<|begin_of_text|>",
    ),
    "gemma": Family(
        _GEMMA,
        ("<bos>", "<eos>", "<start_of_turn>", "<end_of_turn>"),
        "<eos>",
        "<bos>",
        takes_system=False,
    ),
    "mistral": Family(_MISTRAL, ("<s>", "</s>", "[INST]", "[/INST]"), "</s>", "<s>"),
    "phi3": Family(
        _PHI3,
        ("<|endoftext|>", "<|system|>", "<|user|>", "<|assistant|>", "<|end|>"),
        "<|endoftext|>",
    ),
    "zephyr": Family(_ZEPHYR, ("<s>", "</s>"), "</s>", "<s>"),
}


def save_tokenizer(folder: Path, family: Family, *, template: str | None) -> Path:
    """A byte-level tokenizer with the family's special tokens and this template."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({letter: i for i, letter in enumerate(letters)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in family.tokens])
    fast: Any = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token=family.eos, pad_token=family.eos
    )
    if family.bos is not None:
        fast.add_special_tokens({"bos_token": family.bos})
    fast.chat_template = template
    fast.save_pretrained(folder)
    return folder


def open_template(folder: Path, name: str, *, marked: bool = False) -> ChatTemplate:
    family = FAMILIES[name]
    template = family.template(marked=marked)
    return ChatTemplate(BaseTokenizer(save_tokenizer(folder, family, template=template)))


def talk(*texts: str, system: str | None = None, **more: Any) -> Conversation:
    """A conversation of a user and an assistant in turn."""
    roles = ("user", "assistant")
    turns = tuple({"role": roles[i % 2], "content": text} for i, text in enumerate(texts))
    opening = () if system is None else ({"role": "system", "content": system},)
    return Conversation(opening + turns, "talks.jsonl", 3, **more)
