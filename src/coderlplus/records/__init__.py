"""Frozen records and their JSONL form.

    Problem → Rollout → Verdict → Trace → AlignmentTask → Reward

All records are frozen. Every record has `to_json()` (a dict of plain JSON) and `from_json()`; `read_jsonl` and
`write_jsonl` move them to and from files, one object a line. Python values inside records (arguments, expected values,
variables) are *tagged values*: plain JSON where JSON says the same, a tagged object otherwise (`{"$tuple": [...]}`),
made and read by `coderlplus.sandbox.values`. Records hold them as they are.
"""

from coderlplus.records.fields import TaggedValue
from coderlplus.records.jsonl import Record, read_jsonl, write_jsonl
from coderlplus.records.own_row import OWN, OwnRow, own_row, own_rows
from coderlplus.records.problem import (
    CallInput,
    CallTest,
    CheckerProgram,
    CheckTest,
    Limits,
    Problem,
    ProgramInput,
    StdioInput,
    StdioTest,
    Test,
    input_from_json,
    test_from_json,
)
from coderlplus.records.run import (
    VERDICTS,
    Actual,
    Change,
    Ending,
    Failure,
    Rollout,
    Step,
    Trace,
    Verdict,
    VerdictName,
)
from coderlplus.records.task import OUTPUT, AlignmentTask, Reward, Target

__all__ = [
    "OUTPUT",
    "OWN",
    "VERDICTS",
    "Actual",
    "AlignmentTask",
    "CallInput",
    "CallTest",
    "Change",
    "CheckTest",
    "CheckerProgram",
    "Ending",
    "Failure",
    "Limits",
    "OwnRow",
    "Problem",
    "ProgramInput",
    "Record",
    "Reward",
    "Rollout",
    "StdioInput",
    "StdioTest",
    "Step",
    "TaggedValue",
    "Target",
    "Test",
    "Trace",
    "Verdict",
    "VerdictName",
    "input_from_json",
    "own_row",
    "own_rows",
    "read_jsonl",
    "test_from_json",
    "write_jsonl",
]
