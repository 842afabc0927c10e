"""The browser of the tests of pages."""

from ..report.conftest import browse, browser, chromium_process

__all__ = ["browse", "browser", "chromium_process"]
