"""The data path with chat templates of models that cannot be had here: those that TRL ships, read from the installed
package. Qwen2.5-Coder has the shape `qwen2_5` (a system message of its own, tools), DeepSeek-Coder's successors those
of `deepseekv3` and `deepseek_r1_distill` (no role for the system, reasoning that the prompt opens). DeepSeek-Coder's
own shape, headings in place of marks, is written here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trl
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast
from trl.chat_template_utils import add_response_schema, get_training_chat_template, has_generation_markers

from coderlplus.alignment.answers import parse_answer
from coderlplus.engines.models import check_tokenizer
from coderlplus.engines.reward_functions import code_reward, to_dataset_row
from coderlplus.engines.trl.config import make_config
from coderlplus.engines.trl.train import train
from coderlplus.errors import ConfigError
from coderlplus.evaluation.generate import prompt_text, token_ids
from coderlplus.judge import Judge
from coderlplus.problems.prompts import conversation, user_message
from coderlplus.programs import extract_program
from coderlplus.records import CallTest, Problem
from coderlplus.sandbox import Sandbox
from coderlplus_lab.study.supervised import IGNORED, _row

FOLDER = Path(trl.__file__).parent / "chat_templates"
TEMPLATES = {
    path.stem: path.read_text(encoding="utf-8")
    for path in sorted(FOLDER.glob("*.jinja"))
    if not path.stem.endswith("_training")
}
TEMPLATES["headings"] = (
    "{% if messages[0].role != 'system' %}{{ 'You write programs.\n' }}{% endif %}"
    "{% for message in messages %}"
    "{% if message.role == 'system' %}{{ message.content + '\n' }}"
    "{% elif message.role == 'user' %}{{ '### Instruction:\n' + message.content + '\n' }}"
    "{% else %}{{ '### Response:\n' }}{% generation %}{{ message.content + '\n<|EOT|>\n' }}{% endgeneration %}"
    "{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '### Response:\n' }}{% endif %}"
)
FOR_CODE = (
    *("qwen2_5", "qwen3", "qwen3_instruct_2507", "qwen3_5_think", "deepseekv3", "deepseek_r1_distill", "llama3"),
    "headings",
)
MARKS = (
    *("<|im_start|>", "<|im_end|>", "<|endoftext|>", "<｜User｜>", "<｜Assistant｜>", "<｜end▁of▁sentence｜>"),
    *(
        "<|EOT|>",
        "<|start_header_id|>",
        "<|end_header_id|>",
        "<|eot_id|>",
        "<think>",
        "</think>",
        "<tool_call>",
        "</tool_call>",
    ),
)
ENDS = {"qwen": "<|im_end|>", "deepseek": "<｜end▁of▁sentence｜>", "llama": "<|eot_id|>", "headings": "<|EOT|>"}
PROBLEM = Problem(
    problem_id="p",
    statement="Write `double(n)`.\n\n    It returns n times 2; {braces} & <tags> stay.\n",
    entry_point="double",
    tests=(CallTest((4,), 8), CallTest((0,), 0)),
)
RIGHT, WRONG = "def double(n):\n    return n * 2", "def double(n):\n    return n + 2"
TOOL = {
    "type": "function",
    "function": {"name": "run", "description": "Run.", "parameters": {"type": "object", "properties": {}}},
}


def make_tokenizer(name: str) -> Any:
    """A tokenizer of bytes with a template of TRL's and the marks of its family."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    inner = Tokenizer(models.WordLevel({letter: number for number, letter in enumerate(letters)}, unk_token="!"))
    inner.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
            pre_tokenizers.Split(Regex("."), "isolated"),
        ]
    )
    inner.decoder = decoders.ByteLevel()
    end = next((mark for family, mark in ENDS.items() if name.startswith(family)), "<|endoftext|>")
    made = PreTrainedTokenizerFast(
        tokenizer_object=inner,
        eos_token=end,
        bos_token="<|begin|>",
        pad_token="<|endoftext|>",
        padding_side="left",
        name_or_path=name,
    )
    made.add_special_tokens({"additional_special_tokens": [mark for mark in MARKS if "think" not in mark]})
    made.add_tokens([mark for mark in MARKS if "think" in mark])  # models keep these when special tokens are left out
    made.chat_template = TEMPLATES[name]
    return made


@pytest.fixture(scope="module")
def tokenizers() -> Callable[[str], Any]:
    known: dict[str, Any] = {}
    return lambda name: known.setdefault(name, None) or known.update({name: make_tokenizer(name)}) or known[name]


@pytest.fixture(scope="module")
def judge() -> Any:
    with Sandbox(workers=1) as sandbox:
        yield Judge(sandbox)


@pytest.mark.parametrize("system", [None, "Think first."], ids=["user", "system"])
@pytest.mark.parametrize("name", TEMPLATES)
def test_a_prompt_holds_every_message_or_is_refused(tokenizers: Any, name: str, system: str | None) -> None:
    tokenizer, messages = tokenizers(name), conversation(user_message(PROBLEM), system)
    try:
        text = prompt_text(tokenizer, messages)
    except ConfigError:
        assert name not in FOR_CODE
        with pytest.raises(ConfigError, match=f"the chat template of {name} (refuses|leaves out)"):
            check_tokenizer("absent", tokenizer, [messages], {})
        return
    assert all(message["content"].strip() in text for message in messages)
    ids = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=True)["input_ids"]
    assert token_ids(tokenizer, messages) == ids  # what TRL's trainers tokenise


@pytest.mark.parametrize("name", ["idefics3", "llava_next", "smolvlm"])
def test_templates_of_models_for_images_leave_the_statement_out(tokenizers: Any, name: str) -> None:
    with pytest.raises(ConfigError, match="leaves out what the user says"):
        prompt_text(tokenizers(name), conversation(user_message(PROBLEM)))


def test_a_template_that_knows_no_system_message_says_so(tokenizers: Any) -> None:
    with pytest.raises(ConfigError, match=r"refuses messages of system and user .*leave the system message out"):
        prompt_text(tokenizers("gemma"), conversation("Print 1.", "Be brief."))


@pytest.mark.parametrize("name", ["qwen2_5", "qwen3", "qwen3_5_think"])
def test_tools_stand_beside_the_system_message(tokenizers: Any, name: str) -> None:
    text = prompt_text(tokenizers(name), conversation(user_message(PROBLEM), "Be brief."), tools=[TOOL])
    assert '"name": "run"' in text
    assert "Be brief." in text


@pytest.mark.parametrize("name", FOR_CODE)
def test_supervised_training_learns_the_answer_and_its_end_alone(tokenizers: Any, name: str) -> None:
    tokenizer, messages = tokenizers(name), conversation(user_message(PROBLEM), "Be brief.")
    answer = f"```python\n{RIGHT}\n```"
    row = _row(tokenizer, messages, answer)
    learnt = [token for token, label in zip(row["input_ids"], row["labels"], strict=True) if label != IGNORED]
    assert tokenizer.decode(learnt) == answer + tokenizer.eos_token
    assert row["input_ids"][: -len(learnt)] == token_ids(tokenizer, messages)


@pytest.mark.parametrize("name", FOR_CODE)
def test_trls_masks_of_the_assistant_hold_a_worked_answer_whole(tokenizers: Any, name: str) -> None:
    """What its `SFTTrainer` learns of a row of `coderlplus tasks --rationales` with `assistant_only_loss`."""
    tokenizer = tokenizers(name)
    worked = 'line 1: def f(x):\n  line 1: def f(x): → x = 2\nIt returns 3.\n\n{"output": 3}'
    messages = [*conversation(user_message(PROBLEM)), {"role": "assistant", "content": worked}]
    template = get_training_chat_template(tokenizer) or tokenizer.chat_template
    assert has_generation_markers(template)
    made = tokenizer.apply_chat_template(
        messages, chat_template=template, return_dict=True, return_assistant_tokens_mask=True
    )
    chosen = [token for token, one in zip(made["input_ids"], made["assistant_masks"], strict=True) if one]
    text = tokenizer.decode(chosen)
    assert worked in text
    assert "double" not in text


@pytest.mark.parametrize(
    "end",
    [
        *("", "<|im_end|>", "<｜end▁of▁sentence｜>", "<|eot_id|>"),
        f"\n<|EOT|>\n### Instruction:\nHalve it.\n### Response:\n```python\n{WRONG}\n```\n",
    ],
    ids=["cut", "qwen", "deepseek", "llama", "another turn"],
)
@pytest.mark.parametrize("opened_by", ["completion", "prompt"])
def test_the_program_and_the_answer_are_those_after_the_reasoning(opened_by: str, end: str) -> None:
    start = "<think>\n" if opened_by == "completion" else ""
    draft = f"Perhaps\n```python\n{WRONG}\n```\nNo: it doubles.\n</think>\n\n"
    assert extract_program(f"{start}{draft}```python\n{RIGHT}\n```{end}", "double") == RIGHT
    answer = parse_answer(f'{start}Is it {{"output": 1}}?\n</think>\n\n{{"output": 2}}{end}', ("output",))
    assert answer is not None
    assert answer.values == {"output": 2}


@pytest.mark.parametrize("name", ["qwen3", "deepseek_r1_distill", "qwen3_5_think"])
def test_completions_that_trl_has_parsed_are_rewarded_for_what_follows_the_reasoning(
    tokenizers: Any, judge: Judge, name: str
) -> None:
    """With a response template TRL hands over messages: the reasoning apart, `content` without it, perhaps calls of
    tools and no content."""
    parse = pytest.importorskip("trl.chat_template_utils").parse_response
    tokenizer = add_response_schema(make_tokenizer(name))
    prefix = token_ids(tokenizer, conversation(user_message(PROBLEM)))
    start = "" if tokenizer.decode(prefix).rstrip().endswith("<think>") else "<think>\n"
    texts = [
        f"{start}{draft}\n</think>\n\n```python\n{program}\n```{tokenizer.eos_token}"
        for draft, program in ((WRONG, RIGHT), (RIGHT, WRONG))
    ]
    ids = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]
    completions: list[Any] = [[parse(tokenizer, one, prefix=prefix)] for one in ids]
    assert all(completion[0]["content"].startswith("```python") for completion in completions)
    completions.append([{"role": "assistant", "content": None, "tool_calls": []}])
    record = str(to_dataset_row(PROBLEM)["record"])
    assert code_reward(judge)(completions, record=[record] * 3) == [1.0, 0.0, 0.0]


def test_the_length_of_a_prompt_is_that_with_the_arguments_of_the_template(
    tokenizers: Any, settings: dict[str, Any], tmp_path: Path
) -> None:
    """`trl.chat_template_kwargs` adds an empty block of reasoning here; the limit counts it."""
    from transformers import AutoTokenizer, Qwen2Config, Qwen2ForCausalLM

    tokenizer = tokenizers("qwen3")
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    heads = {"num_key_value_heads": 2, "max_position_embeddings": 1024}
    Qwen2ForCausalLM(Qwen2Config(vocab_size=len(tokenizer), **sizes, **heads)).save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    assert AutoTokenizer.from_pretrained(tmp_path / "model").chat_template == TEMPLATES["qwen3"]
    asked = [problem.statement for problem in make_problems(settings)]
    plain = max(len(token_ids(tokenizer, conversation(one))) for one in asked)
    longest = max(len(token_ids(tokenizer, conversation(one), enable_thinking=False)) for one in asked)
    assert longest > plain
    limited = settings | {
        "model": str(tmp_path / "model"),
        "alignment": False,
        "samples_every": 1,
        "trl": {name: value for name, value in settings["trl"].items() if name != "generation_kwargs"}
        | {"max_steps": 1, "chat_template_kwargs": {"enable_thinking": False}},
    }
    assert plain <= min(len(token_ids(tokenizer, conversation(one), enable_thinking=False)) for one in asked)
    short = make_config(limited | {"max_prompt_tokens": plain - 1, "output": str(tmp_path / "none")})
    with pytest.raises(ConfigError, match=f"all .* longer than max_prompt_tokens = {plain - 1}"):
        train(short)
    run = train(make_config(limited | {"max_prompt_tokens": longest, "output": str(tmp_path / "all")}))
    line = (run.path / "samples.jsonl").read_text().splitlines()[0]
    assert r"<think>\n\n</think>\n\n" in line


def make_problems(settings: dict[str, Any]) -> list[Problem]:
    from coderlplus.problems import read_problems

    return list(read_problems(settings["problems"]))
