"""The run page: one self-contained HTML file about a run or a quick start.

* `folders.py`: run folder, quick-start folder → Folder (runs, metrics, headline numbers)
* `samples.py`: `samples.jsonl` → the groups that fit the page, with their lineage
* `headline.py`: `summary.json` → the table and the sentences above it
* `bindings.py`: program and variable → the line that its traced value stands beside
* `page.py`: all of it → HTML, with `page.html`, `page.css` and the scripts embedded
"""

from coderlplus.report.page import write_report

__all__ = ["write_report"]
