"""The files that `prepare` writes: problems as JSON lines and as Parquet, what was cut, and the report.

`problems.parquet` has a row a problem, for TRL and for verl:

- `prompt`, chat messages, and `record`, the problem as JSON: what `engines.reward_functions` take in a TRL script
  (`load_dataset("parquet", ...)`);
- `data_source`, `ability`, `reward_model`, `extra_info`, as verl takes them. `reward_model.ground_truth` has the tests
  for scorers that do not know ours: `{"inputs", "outputs"}` and `fn_name` for calls, as PRIME's data has it,
  `{"assert_case"}` or `{"test_code", ...}` for code, as the paper's. It is `{}` where the tests are in none of these
  (linked lists and trees, tuples and other values that JSON does not have).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from coderlplus.engines.reward_functions import to_dataset_row
from coderlplus.errors import ConfigError, DataError
from coderlplus.records import CallTest, CheckTest, Problem, StdioTest, TaggedValue
from coderlplus.records.files import whole_file

BATCH_ROWS = 64
"""Rows of a row group of the Parquet file, which are in memory together."""


def beside(output: Path, ending: str) -> Path:
    """A file beside the output, named after it: `problems.jsonl` → `problems.report.json`.

    >>> beside(Path("data/problems.jsonl"), "report.json").name
    'problems.report.json'
    """
    return output.with_name(f"{output.name.removesuffix('.jsonl')}.{ending}")


class ParquetFile:
    """A Parquet file of rows that appears when it is complete. `schema` makes its schema of the module `pyarrow`.
    Raises `ConfigError` without pyarrow."""

    def __init__(self, path: Path, schema: Callable[[Any], Any]) -> None:
        self.path = path
        self._rows: list[dict[str, Any]] = []
        try:
            import pyarrow
            from pyarrow import parquet
        except ImportError:
            raise ConfigError(
                f"{path} is Parquet, which pyarrow writes: pip install pyarrow, or leave --parquet out"
            ) from None
        self._schema = schema(pyarrow)
        self._pyarrow = pyarrow
        self._whole = whole_file(path, "wb")
        try:
            self._writer = parquet.ParquetWriter(self._whole.__enter__(), self._schema, compression="zstd")
        except OSError as error:
            raise DataError(f"cannot write {path}: {error.strerror}") from error

    def add(self, row: dict[str, Any]) -> None:
        self._rows.append(row)
        if len(self._rows) == BATCH_ROWS:
            self._flush()

    def _flush(self) -> None:
        if self._rows:
            self._writer.write_table(self._pyarrow.Table.from_pylist(self._rows, schema=self._schema))
        self._rows = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            with ExitStack() as stack:
                stack.push(self._whole)
                self._flush()
                self._writer.close()
        else:
            with suppress(OSError):  # on a full disk closing fails again
                self._writer.close()
            self._whole.__exit__(kind, error, trace)


def problem_schema(pyarrow: Any) -> Any:
    """The Arrow schema of `parquet_row`."""
    text = pyarrow.string()
    return pyarrow.schema(
        {
            "data_source": text,
            "prompt": pyarrow.list_(pyarrow.struct({"role": text, "content": text})),
            "ability": text,
            "reward_model": pyarrow.struct({"style": text, "ground_truth": text}),
            "extra_info": pyarrow.struct({"split": text, "index": pyarrow.int64(), "problem_id": text}),
            "record": text,
        }
    )


def parquet_row(problem: Problem, index: int) -> dict[str, Any]:
    """The row of a problem, as the module says."""
    return {
        "data_source": problem.source or "coderlplus",
        "ability": "code",
        "reward_model": {"style": "rule", "ground_truth": json.dumps(ground_truth(problem))},
        "extra_info": {"split": "train", "index": index, "problem_id": problem.problem_id},
        **to_dataset_row(problem),
    }


def ground_truth(problem: Problem) -> dict[str, Any]:
    """The tests in the form of PRIME's data or the paper's; empty where they are in none.

    >>> ground_truth(Problem(problem_id="p", statement="Add.", entry_point="add", tests=(CallTest((1, [2]), 3),)))
    {'inputs': ['1\\n[2]'], 'outputs': ['3'], 'fn_name': 'add'}
    """
    tests = problem.tests
    stdio = [test for test in tests if isinstance(test, StdioTest)]
    if len(stdio) == len(tests):
        return {"inputs": [test.stdin for test in stdio], "outputs": [test.stdout for test in stdio]}
    calls = [test for test in tests if isinstance(test, CallTest)]
    if len(calls) == len(tests) and all(map(_is_json, calls)):
        inputs = [
            "\n".join(json.dumps(argument) for argument in (*test.args, *test.kwargs.values())) for test in calls
        ]
        name = (problem.entry_point or "").rpartition("().")[2]
        return {"inputs": inputs, "outputs": [json.dumps(test.expected) for test in calls], "fn_name": name}
    codes = [test.code for test in tests if isinstance(test, CheckTest)]
    if len(codes) == len(tests):
        return _of_code(problem, codes)
    return {}


def _of_code(problem: Problem, codes: Sequence[str]) -> dict[str, Any]:
    if all("def check(" not in code for code in codes):
        return {"assert_case": list(codes)}
    if len(codes) == 1:
        return {"import_prefix": f"{problem.setup_code}\n", "test_code": codes[0], "entry_point": problem.entry_point}
    return {}


def _is_json(test: CallTest) -> bool:
    return not any(map(_has_tag, (*test.args, *test.kwargs.values(), test.expected)))


def _has_tag(value: TaggedValue) -> bool:
    if isinstance(value, dict):
        return any(key.startswith("$") or _has_tag(item) for key, item in value.items())
    return isinstance(value, list) and any(map(_has_tag, value))
