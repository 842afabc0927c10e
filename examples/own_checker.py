"""A problem with several correct answers: your own checker program accepts each of them.

python examples/own_checker.py
"""

from __future__ import annotations

import coderlplus as crl

CHECKER = """\
def check(given, answer, expected):
    n = int(given)
    factors = [int(word) for word in answer.split()]
    if len(factors) != 2 or 1 in factors:
        return f"expected two factors above 1, found {answer!r}"
    return factors[0] * factors[1] == n
"""
PROBLEM = crl.Problem(
    problem_id="factors",
    statement="Read a composite number and print two factors above 1 whose product it is.",
    tests=(crl.StdioTest("12\n", "3 4\n"), crl.StdioTest("15\n", "3 5\n")),
    checker=crl.CheckerProgram("factors", CHECKER),
)
SMALLEST = "n = int(input())\nd = next(d for d in range(2, n) if n % d == 0)\n"
PROGRAMS = {
    "smallest first": SMALLEST + "print(d, n // d)",
    "largest first": SMALLEST + "print(n // d, d)",
    "trivial": "print(1, int(input()))",
}


def main() -> None:
    with crl.open_sandbox() as sandbox:
        judge = crl.Judge(sandbox)
        for name, program in PROGRAMS.items():
            verdict = judge.judge(PROBLEM, crl.Rollout(rollout_id=name, problem_id="factors", program=program))
            print(f"{name}: {verdict.verdict}", verdict.first_failure.detail if verdict.first_failure else "")


if __name__ == "__main__":
    main()
