"""Pages about runs and executions, each one self-contained HTML file.

* `html.py`: template, styles, scripts and data → one file
* the run page: `run_page.py`
    * `folders.py`: run folder, or folder of run folders → Folder (runs, metrics)
    * `samples.py`: `samples.jsonl` → the groups that fit the page, with their lineage
    * `bindings.py`: program and variable → the line that its traced value stands beside
* the trace viewer: `trace_page.py`
"""

from coderlplus.report.run_page import write_report
from coderlplus.report.trace_page import write_trace

__all__ = ["write_report", "write_trace"]
