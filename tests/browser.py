"""Open a notebook in JupyterLab in a headless Chromium, run it, look at it, use it.

For authors: ``python -m tests.browser NOTEBOOK OUT.png`` runs a copy of the notebook
and writes OUT-1.png, OUT-2.png, ... from its top to its bottom.
"""

import contextlib
import io
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import nbformat
import numpy as np
from lab import Server
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, sync_playwright

from tpainn_lite.course.build import copy_companions

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FOUND = next(filter(None, map(shutil.which, NAMES)), "")
CHROMIUM = os.environ.get("CHROMIUM", FOUND)  # `CHROMIUM= make test`: as without one
GL = "--use-gl=angle --use-angle=swiftshader --enable-unsafe-swiftshader"
SCROLLER = ".jp-WindowedPanel-outer"
PLOT, VIEWER = ".js-plotly-plot", ".jp-OutputArea .ui-resizable canvas"
SLIDER = ".widget-slider .noUi-handle:visible"  # nglview hides some of its own
WAIT = 120  # s, at most, for what a page is to show
# anywidget leaves a figure empty for good if plotly takes more than 2 s to load
PATIENCE = """const timeout = AbortSignal.timeout.bind(AbortSignal);
AbortSignal.timeout = ms => timeout(60 * ms);"""
SETTINGS = {  # no question about news, no empty page at the end
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    "notebook-extension/tracker": {"scrollPastEnd": False},
}


def write(path: Path, cells: Sequence[str]) -> Path:
    """A notebook of these code cells, written to `path`."""
    made = [nbformat.v4.new_code_cell(source) for source in cells]
    notebook = nbformat.v4.new_notebook(cells=made)
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3"}
    nbformat.write(notebook, path)
    return path


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """The Chromium of this machine, without a window."""
    with sync_playwright() as playwright:
        flags = ["--no-sandbox", *GL.split()]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield browser
        browser.close()


@contextlib.contextmanager
def lab(notebook: Path) -> Iterator[Page]:
    """A browser page that shows a copy of `notebook` in JupyterLab, not yet run.

    The copy lies in a temporary folder; ``page.console`` collects the console's errors.
    """
    with tempfile.TemporaryDirectory() as folder, server(Path(folder)) as site:
        shutil.copy(notebook, folder)
        copy_companions(notebook.parent, Path(folder))
        with chromium() as browser:
            page = browser.new_page(viewport={"width": 1200, "height": 1000})
            page.add_init_script(PATIENCE)
            page.set_default_timeout(1000 * WAIT)
            page.console = []
            page.on("pageerror", lambda error: page.console.append(str(error)))
            said = page.console.append
            page.on("console", lambda m: m.type == "error" and said(m.text))
            page.goto(
                f"http://{site.place}/doc/tree/{notebook.name}?token={site.token}"
            )
            ready = "() => window.jupyterapp?.shell.currentWidget?.sessionContext"
            page.wait_for_function(f"{ready}?.session?.kernel")
            yield page


def run_all(page: Page, timeout: float = 600) -> None:
    """Run all cells and wait (at most `timeout` seconds) until the last has ended."""
    begin(page)
    end(page, timeout)


def begin(page: Page) -> None:
    """Run all cells, without waiting."""
    page.evaluate(
        """() => { window.ended = false;
        window.jupyterapp.commands.execute('notebook:run-all-cells')
          .finally(() => { window.ended = true; }); }"""
    )


def run_cell(page: Page, index: int) -> None:
    """Run one cell, and wait until it has ended."""
    page.evaluate(
        """async index => { const {commands, shell} = window.jupyterapp;
        shell.currentWidget.content.activeCellIndex = index;
        await commands.execute('notebook:run-cell'); }""",
        index,
    )


def end(page: Page, timeout: float = 600) -> None:
    """Wait (at most `timeout` seconds) until the last cell has ended."""
    page.wait_for_function("window.ended", timeout=1000 * timeout)
    loading = "Loading widget..."  # widgets draw after their cells have ended
    gone = "text => !document.body.innerText.includes(text)"
    page.wait_for_function(gone, arg=loading)
    page.wait_for_timeout(3000)


def shut_down(page: Page) -> dict:
    """Save the notebook and close its kernel; what was saved."""
    return page.evaluate(
        """async () => {
        const {context, sessionContext} = window.jupyterapp.shell.currentWidget;
        await context.save();
        await sessionContext.shutdown();
        return context.model.toJSON(); }"""
    )


def tracebacks(page: Page) -> list[str]:
    """What each failed cell raised, in one line each."""
    return page.evaluate(
        """() => [...window.jupyterapp.shell.currentWidget.content.model.cells]
        .flatMap(cell => cell.type === 'code' ? cell.toJSON().outputs : [])
        .filter(output => output.output_type === 'error')
        .map(output => `${output.ename}: ${output.evalue}`)"""
    )


def not_blank(element: Locator) -> bool:
    """Whether an element on the page shows more than one flat colour, or bare axes."""
    element.scroll_into_view_if_needed()
    element.page.wait_for_timeout(1500)  # WebGL in software takes its time
    picture = Image.open(io.BytesIO(element.screenshot()))
    pixels = np.asarray(picture.convert("RGB"), int)
    background = np.median(pixels.reshape(-1, 3), axis=0)
    if element.evaluate("element => element.data?.length === 0"):
        return False
    return bool((abs(pixels - background).max(axis=2) > 30).mean() > 0.002)


def figure_data(root: Page | Locator) -> str:
    """All numbers and words that the plotly figures in `root` now draw, as JSON."""
    return root.locator(PLOT).evaluate_all(
        """plots => JSON.stringify(plots.map(plot => [plot.data, plot.layout?.title]),
        (key, value) => key.startsWith('_') ? undefined  // plotly's own notes
            : ArrayBuffer.isView(value) ? Array.from(value) : value)"""
    )


def shown(root: Page | Locator) -> tuple:
    """All that figures show, and the words of explorers."""
    return figure_data(root), root.locator(".widget-html").all_text_contents()


def rest(root: Locator) -> tuple:
    """Wait until nothing is left of what the kernel was asked; what is then shown."""
    status = "jupyterapp.shell.currentWidget.sessionContext.session.kernel.status"
    before = None
    while before != (before := shown(root)) or root.page.evaluate(status) != "idle":
        root.page.wait_for_timeout(500)
    return before


def trace(plot: Locator, name: str) -> dict[str, list]:
    """Lists x, y and customdata of the last trace of that name."""
    return plot.evaluate(
        """(plot, name) => {
        const found = plot._fullData.filter(t => t.name.startsWith(name));
        const {x, y, customdata} = found.at(-1);
        return {x: [...x ?? []], y: [...y ?? []], customdata: [...customdata ?? []]};
        }""",
        name,
    )


def move_slider(root: Page | Locator, index: int = 0, steps: int = 3) -> None:
    """Move the slider number `index` in `root` by `steps` arrow keys to the right."""
    handle = root.locator(SLIDER).nth(index)
    handle.scroll_into_view_if_needed()
    handle.focus()
    for _ in range(steps):
        handle.press("ArrowRight")
    handle.page.wait_for_timeout(1500)


def click_point(plot: Locator, x: float, y: float) -> None:
    """Click what a plotly figure shows at (x, y) of its last pair of axes."""
    plot.scroll_into_view_if_needed()
    across, down = plot.evaluate(
        """(plot, [x, y]) => {
        const {xaxis, yaxis} = Object.values(plot._fullLayout._plots).at(-1);
        const box = plot.getBoundingClientRect();
        return [box.left + xaxis._offset + xaxis.d2p(x),
                box.top + yaxis._offset + yaxis.d2p(y)]; }""",
        [x, y],
    )
    plot.page.mouse.move(across - 3, down)  # plotly clicks what the pointer was over
    plot.page.mouse.move(across, down, steps=3)
    over = "(p, at) => p._hoverdata?.some(h => h.x === at[0] && h.y === at[1])"
    assert until(plot.page, lambda: plot.evaluate(over, [x, y]))
    plot.page.mouse.click(across, down)


def until(page: Page, holds: Callable[[], bool], seconds: float = WAIT) -> bool:
    """Whether something comes to hold within `seconds`."""
    for _ in range(round(5 * seconds)):
        if holds():
            return True
        page.wait_for_timeout(200)
    return holds()


def scroll(page: Page) -> Iterator[int]:
    """Go through the notebook from top to bottom, a window at a time, as it draws."""
    panel, k = page.locator(SCROLLER).first, 0
    panel.evaluate("element => { element.scrollTop = 0; }")
    while True:
        page.wait_for_timeout(2000)
        yield (k := k + 1)
        moved = panel.evaluate(
            """element => { const before = element.scrollTop;
            element.scrollTop += 0.95 * element.clientHeight;
            return element.scrollTop > before + 1; }"""
        )
        if not moved:
            return


def screenshot(page: Page, path: Path) -> list[Path]:
    """Write PATH-1.png, PATH-2.png, ... from the notebook's top to its bottom."""
    path = Path(path)
    shots = []
    for k in scroll(page):
        shots.append(path.with_name(f"{path.stem}-{k}.png"))
        page.screenshot(path=shots[-1])
    return shots


def server(folder: Path, python: str | Path = sys.executable) -> Server:
    """JupyterLab with its root and all its settings in `folder`."""
    kinds = ("JUPYTER_CONFIG", "JUPYTER_RUNTIME", "JUPYTER_DATA")
    own = {f"{name}_DIR": str(folder / f".{name}") for name in kinds}
    for name, settings in SETTINGS.items():
        file = folder / f".JUPYTER_CONFIG/lab/user-settings/@jupyterlab/{name}"
        file.parent.mkdir(parents=True)
        file.with_suffix(".jupyterlab-settings").write_text(json.dumps(settings))
    run, more = [python, "-m", "jupyterlab"], {"LabApp_expose_app_in_browser": True}
    return Server(folder, run, os.environ | own, ServerApp_root_dir=folder, **more)


if __name__ == "__main__":
    with lab(Path(sys.argv[1])) as opened:
        run_all(opened)
        for written in screenshot(opened, Path(sys.argv[2])):
            print(written)
        print("\n".join(["failed cells:", *tracebacks(opened)]))
        print("\n".join(["console errors:", *opened.console]))
