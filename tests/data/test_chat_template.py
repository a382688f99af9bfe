from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.data.templates import FAMILIES, open_template, save_tokenizer, talk

from mixwise.data.chat_template import ChatTemplate
from mixwise.data.tokenizer import BaseTokenizer
from mixwise.errors import CheckpointError, DataError, RecipeError
from mixwise.records.conversation import Conversation
from mixwise.records.record import Document

TALK = ("Hi, é?", "Hello.", "2+2 ", " 4 it is")
CALL = {"type": "function", "function": {"name": "add", "arguments": {"a": 2, "b": 2}}}


def learned(document: Document) -> list[str]:
    assert document.supervised is not None
    return [document.text[start:end] for start, end in document.supervised]


def template_of(folder: Path, text: str) -> ChatTemplate:
    return ChatTemplate(BaseTokenizer(save_tokenizer(folder, FAMILIES["chatml"], template=text)))


def test_a_conversation_becomes_a_text_whose_answers_are_learned(tmp_path: Path) -> None:
    found = open_template(tmp_path, "chatml").render(talk("a", "b", "c", "d"), "assistant")
    assert found.text == (
        "<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\nb<|im_end|>\n"
        "<|im_start|>user\nc<|im_end|>\n<|im_start|>assistant\nd<|im_end|>\n"
    )
    assert learned(found) == ["b<|im_end|>\n", "d<|im_end|>\n"]
    assert found.is_rendered
    assert found.place == "talks.jsonl:3"


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("learn", ["assistant", "completion"])
def test_prefixes_tell_the_same_as_marks(name: str, learn: str, tmp_path: Path) -> None:
    system = "Be short." if FAMILIES[name].takes_system else None
    plain = open_template(tmp_path / "plain", name)
    marked = open_template(tmp_path / "marked", name, marked=True)
    assert (plain.marks_answers, marked.marks_answers) == (False, True)
    for conversation in (talk(*TALK), talk(*TALK[:2], system=system), talk(*TALK, system=system)):
        by_prefix, by_marks = (
            each.render(conversation, learn)  # type: ignore[arg-type]
            for each in (plain, marked)
        )
        assert by_prefix.text == by_marks.text
        assert learned(by_prefix)
        assert "".join(learned(by_prefix)) == "".join(learned(by_marks))
        assert "user" not in "".join(learned(by_prefix))
        n_answers = 1 if learn == "completion" else len(conversation.answers)
        assert len(learned(by_prefix)) == n_answers


def test_what_closes_the_whole_conversation_belongs_to_its_last_answer(tmp_path: Path) -> None:
    found = open_template(tmp_path, "phi3").render(talk("a", "b", "c", "d"), "assistant")
    assert learned(found) == ["b<|end|>\n", "d<|end|>\n<|endoftext|>"]


def test_calls_and_what_tools_answer_are_kept_and_calls_are_learned(tmp_path: Path) -> None:
    turns = (
        {"role": "user", "content": "2+2?"},
        {"role": "assistant", "tool_calls": [CALL]},
        {"role": "tool", "content": "4"},
        {"role": "assistant", "content": "Four."},
    )
    conversation = Conversation(turns, "d", 1, tools=({"name": "add"},))
    for marked in (False, True):
        template = open_template(tmp_path / str(marked), "qwen", marked=marked)
        found = template.render(conversation, "assistant")
        call, answer = learned(found)
        assert call.startswith('<tool_call>{"name": "add", "arguments"')
        assert answer == "Four.<|im_end|>\n"
        assert '<|im_start|>system\n{"name": "add"}' in found.text
        assert "<tool_response>4</tool_response>" in found.text


def test_turns_that_are_given_are_never_learned(tmp_path: Path) -> None:
    for marked in (False, True):
        template = open_template(tmp_path / str(marked), "llama3", marked=marked)
        found = template.render(talk("a", "b", "c", "d", n_given=3), "assistant")
        assert learned(found) == ["d<|eot_id|>"]


def test_everything_is_learned_where_that_is_asked_for(tmp_path: Path) -> None:
    template = open_template(tmp_path, "chatml")
    assert template.render(talk("a"), "all").supervised is None
    with pytest.raises(DataError, match=r"talks.jsonl:3: no turn of the assistant, so nothing"):
        template.render(talk("a"), "assistant")


def test_a_template_that_marks_nothing_in_a_row_is_taken_by_its_prefixes(tmp_path: Path) -> None:
    text = FAMILIES["chatml"].template(marked=False)
    empty = text + "{% generation %}{% endgeneration %}"
    found = template_of(tmp_path, empty).render(talk("a", "b"), "assistant")
    assert learned(found) == ["b<|im_end|>\n"]


def test_marks_before_the_last_answer_alone_leave_it_to_its_prefix(tmp_path: Path) -> None:
    text = FAMILIES["chatml"].text.replace("[[{{", "{% generation %}{{ '' if loop.last else")
    text = text.replace("]]", "{% endgeneration %}{{ m.content + '.' if loop.last else '' }}")
    template = template_of(tmp_path, text)
    assert template.marks_answers
    assert learned(template.render(talk("a", "b", "c", "d"), "completion")) == ["d."]


def test_an_answer_that_a_template_leaves_out_is_refused(tmp_path: Path) -> None:
    text = "{% for m in messages if m.role == 'user' %}{{ m.content }}{% endfor %}"
    with pytest.raises(DataError, match="the chat template renders turn 2 otherwise"):
        template_of(tmp_path, text).render(talk("a", "b"), "assistant")


def test_answers_that_change_once_others_follow_are_refused_unless_last(tmp_path: Path) -> None:
    text = FAMILIES["chatml"].text.replace(
        "[[{{ m.content", "{{ ('<think></think>' if loop.last else '') + m.content"
    ).replace("]]", "")  # fmt: skip
    template = template_of(tmp_path, text)
    last = template.render(talk("a", "b", "c", "d"), "completion")
    assert learned(last) == ["<think></think>d<|im_end|>\n"]
    assert learned(template.render(talk("a", "b"), "assistant")) == ["<think></think>b<|im_end|>\n"]
    with pytest.raises(DataError, match=r"talks.jsonl:3: the chat template renders turn 2 other"):
        template.render(talk("a", "b", "c", "d"), "assistant")


def test_an_answer_that_begins_otherwise_than_asked_is_refused(tmp_path: Path) -> None:
    text = FAMILIES["chatml"].template(marked=False).replace("assistant\\n", "assistant\\n<think>")
    with pytest.raises(DataError, match="give a `chat_template` that marks answers"):
        template_of(tmp_path, text).render(talk("a", "b"), "completion")


def test_the_date_is_one_day_whenever_it_is_rendered(tmp_path: Path) -> None:
    dated = "{{ strftime_now('%d %b %Y') }} " + FAMILIES["chatml"].template(marked=False)
    template = template_of(tmp_path, dated)
    assert template.writes_date
    found = template.render(talk("a", "b"), "assistant")
    assert found.text.startswith("26 Jul 2024 <|im_start|>user")
    assert learned(found) == ["b<|im_end|>\n"]


def test_a_text_that_begins_with_a_line_end_keeps_it(tmp_path: Path) -> None:
    dated = "\n{{ strftime_now('%Y') }}{{ messages[0].content }}"
    assert template_of(tmp_path, dated).render(talk("a"), "all").text == "\n2024a"


def test_what_a_template_refuses_is_refused_by_row(tmp_path: Path) -> None:
    template = open_template(tmp_path, "gemma")
    with pytest.raises(DataError, match=r"talks.jsonl:3: the chat template refuses .* \(System"):
        template.render(talk("a", "b", system="s"), "assistant")


def test_a_broken_template_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"`chat_template`: no valid Jinja \(line 1: "):
        template_of(tmp_path, "{% for %}").render(talk("a", "b"), "assistant")


def test_a_tokenizer_without_template_needs_one(tmp_path: Path) -> None:
    folder = save_tokenizer(tmp_path / "base", FAMILIES["chatml"], template=None)
    tokenizer = BaseTokenizer(folder)
    with pytest.raises(CheckpointError, match="no chat template, which conversations need: name"):
        ChatTemplate(tokenizer)
    file = tmp_path / "chat.jinja"
    with pytest.raises(RecipeError, match=rf"`chat_template`: {re.escape(str(file))} cannot be"):
        ChatTemplate(tokenizer, file)
    file.write_text(" \n")
    with pytest.raises(RecipeError, match="is empty: give a file"):
        ChatTemplate(tokenizer, file)
    file.write_text(FAMILIES["chatml"].template(marked=False))
    given = ChatTemplate(tokenizer, file)
    assert learned(given.render(talk("a", "b"), "assistant")) == ["b<|im_end|>\n"]


def test_the_template_and_its_tokens_are_in_the_fingerprint(tmp_path: Path) -> None:
    names = ("chatml", "qwen", "zephyr")
    found = {name: open_template(tmp_path / name, name).fingerprint for name in names}
    assert len(set(found.values())) == 3
    again = ChatTemplate(BaseTokenizer(tmp_path / "qwen"))
    assert again.fingerprint == found["qwen"]


@pytest.mark.parametrize(
    ("name", "end"),
    [
        ("chatml", "<|im_end|>"),
        ("qwen", "<|im_end|>"),
        ("llama3", "<|eot_id|>"),
        ("gemma", "<end_of_turn>"),
        ("phi3", "<|end|>"),
    ],
)
def test_a_question_is_asked_up_to_the_beginning_of_the_answer(
    tmp_path: Path, name: str, end: str
) -> None:
    template, asked = open_template(tmp_path, name), talk("one")
    whole = template.render(talk("one", "two"), "all").text
    assert whole.startswith(template.ask(asked))
    assert whole[len(template.ask(asked)) :].startswith(f"two{end}")
    assert template.end_of_turn == end


def test_a_template_may_end_turns_with_no_token(tmp_path: Path) -> None:
    file = tmp_path / "plain.jinja"
    file.write_text("{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}")
    folder = save_tokenizer(tmp_path, FAMILIES["chatml"], template=None)
    assert ChatTemplate(BaseTokenizer(folder), file).end_of_turn is None
