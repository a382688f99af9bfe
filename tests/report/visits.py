"""Looks at a page in a real browser, offline unless it is served."""

from pathlib import Path

from playwright.sync_api import Browser, Page


class Visit:
    """One look at a report: the page, and everything that went wrong on it."""

    def __init__(self, browser: Browser, report: Path, width: int, scheme: str = "light") -> None:
        context = browser.new_context(
            viewport={"width": width, "height": 900},
            color_scheme=scheme,  # type: ignore[arg-type]
        )
        context.set_offline(True)
        self.page: Page = context.new_page()
        self.troubles: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.troubles.append(message.text))
        self.page.on("pageerror", lambda error: self.troubles.append(str(error)))
        self.page.on("dialog", lambda dialog: self.troubles.append(dialog.message))
        self.page.on("requestfailed", lambda request: self.troubles.append(request.url))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(report.as_uri())
        self.page.wait_for_load_state("networkidle")

    def n_charts(self) -> int:
        """Charts that are drawn; each has several layers."""
        return int(
            self.page.evaluate(
                "[...document.querySelectorAll('.plot[data-figures]')]"
                ".filter(chart => chart.querySelector('.main-svg')).length"
            )
        )

    def overflow(self) -> int:
        """Pixels by which the page is wider than the window."""
        return int(self.page.evaluate("document.documentElement.scrollWidth - innerWidth"))
