"""The page of a trace, as a file and in a browser."""

import base64
import json
import re
from html.parser import HTMLParser

import chromium
import numpy as np
import pytest

from scratchvae.study.trace import make_trace, write_html
from scratchvae.study.trace.page import html

VOID = {"meta", "link", "br", "img", "input", "hr"}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """The trace of the tiny network, and its page."""
    told, path = make_trace("tiny"), tmp_path_factory.mktemp("trace") / "tiny.html"
    write_html(told, path)
    return told, path


@pytest.fixture(scope="module")
def seven(tmp_path_factory):
    """The trace of a bundled 7 through a briefly trained VAE 784-400-20, and its page."""
    told, path = make_trace(epochs=1, threads=1, progress=False), tmp_path_factory.mktemp("trace") / "seven.html"
    write_html(told, path)
    return told, path


@pytest.fixture(scope="module")
def browser():
    with chromium.page() as page:
        yield page


def data_of(path):
    text = path.read_text(encoding="utf-8")
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.S)[1])


# The file -------------------------------------------------------------------------------------------------------------


def test_every_element_is_closed_and_ids_are_unique(tiny):
    class Reader(HTMLParser):
        def __init__(self):
            super().__init__()
            self.open, self.ids = [], []

        def handle_starttag(self, tag, attributes):
            self.ids += [value for name, value in attributes if name == "id"]
            if tag not in VOID:
                self.open.append(tag)

        def handle_startendtag(self, tag, attributes):
            self.ids += [value for name, value in attributes if name == "id"]

        def handle_endtag(self, tag):
            assert self.open.pop() == tag

    reader = Reader()
    reader.feed(tiny[1].read_text(encoding="utf-8"))
    reader.close()
    assert reader.open == []
    assert len(reader.ids) == len(set(reader.ids)) > 10


def test_the_page_names_no_address(tiny, seven):
    for _, path in (tiny, seven):
        assert not re.findall(r"""https?:|//[a-z]+\.|@import|src\s*=|url\((?!#)""", path.read_text(encoding="utf-8"))


def test_a_trained_model_of_784_400_20_fits_in_3_megabytes(seven, tiny):
    assert seven[1].stat().st_size < 3e6
    assert tiny[1].stat().st_size < 300e3


def test_the_arrays_in_the_file_are_the_arrays_of_the_trace(tiny):
    told, path = tiny
    data = data_of(path)
    for step, entry in zip(told.steps, data["steps"], strict=True):
        for value, shown in zip(step.values, entry["values"], strict=True):
            stored = np.frombuffer(base64.b64decode(data["arrays"][shown["array"]]), "<f8")
            assert np.array_equal(stored, value.data.reshape(-1)), (step.key, value.name)


def test_a_large_matrix_is_shown_by_the_units_that_are_most_active(seven):
    told, path = seven
    data = data_of(path)
    entry = next(s for s in data["steps"] if s["key"] == "forward-encoder.0")["values"][1]
    assert (entry["name"], entry["shape"], entry["tile"]) == ("W", [784, 400], [28, 28])
    active = told.step("forward-encoder.1").value("y").data[0]
    assert set(entry["ids"][0]) == set(np.argsort(-active, kind="stable")[:36].tolist())
    assert "36 of 400" in entry["chosen"]
    stored = np.frombuffer(base64.b64decode(data["arrays"][entry["array"]]), "<f8").reshape(36, 784)
    assert np.array_equal(stored, told.step("forward-encoder.0").value("W").data.T[entry["ids"][0]])


def test_a_text_that_looks_like_markup_stays_text(tiny):
    told = make_trace("tiny")
    told.title = "</script><b>x"
    told.steps[0].text = "</script><script>bad"
    assert "<b>x" not in html(told)
    assert "<script>bad" not in html(told)


# In a browser ---------------------------------------------------------------------------------------------------------

CELLS = """[...document.querySelectorAll('#values figure[data-name]')].map(f => [f.dataset.name,
  [...(f.querySelector('table.numbers') || f).querySelectorAll('[data-index]')].map(c => Number(c.dataset.value)),
  [...f.querySelectorAll('.measured [data-index]')].map(c => Number(c.dataset.value)),
  [...f.querySelectorAll('.checked td, .split td[data-value]')].map(c => Number(c.dataset.value))])"""


def test_every_step_of_the_tiny_network_shows_its_numbers_in_full(tiny, browser):
    told, path = tiny
    browser.size(1440, 900)
    browser.open(path)
    shown = 0
    for number, step in enumerate(told.steps, 1):
        assert browser.js("document.getElementById('place').textContent") == f"{number} / {len(told.steps)}"
        assert browser.js("document.querySelector('h2').textContent") == step.title
        assert browser.js("document.querySelectorAll('#formula math').length") == len(step.formulas)
        assert browser.js("document.querySelector('#formula .number').textContent") == (
            f"({', '.join(f'E{n}' for n in step.equations)})" if step.equations else ""
        )
        assert browser.js("[...document.querySelectorAll('#code pre')].map(p => p.textContent)") == [code for _, code in step.sources]
        assert set(browser.js("[...document.querySelectorAll('#graph .here')].map(n => n.dataset.node)")) == set(step.places)
        found = {name: rest for name, *rest in browser.js(CELLS)}
        if step.split:
            s = step.split
            numeric = s.check.numeric.reshape(s.total.shape)
            for half, name in enumerate(("μ", "log σ²")):
                columns = slice(2 * half, 2 * half + 2)
                rows = np.stack([part[:, columns].reshape(-1) for part in (s.through_z, s.from_kl, s.total, numeric)], axis=1)
                assert found[f"split {name}"][2] == rows.reshape(-1).tolist()
                shown += rows.size
        else:
            assert set(found) == {value.name for value in step.values}
        for value in [] if step.split else step.values:
            cells, measured, _ = found[value.name]
            assert cells == np.ravel(value.data).tolist(), (step.key, value.name)
            assert measured == (value.check.numeric.tolist() if value.check else [])
            shown += len(cells) + len(measured)
        browser.press("ArrowRight")
    assert shown > 500
    assert browser.console == []
    assert [r for r in browser.requests if r.startswith("http")] == []


def test_every_step_of_the_trained_model_reads_out_the_trace(seven, browser):
    told, path = seven
    browser.size(1440, 900)
    browser.open(path)
    read = 0
    for step in told.steps:
        found = {name: rest for name, *rest in browser.js(CELLS)}
        for value in [] if step.split else step.values:
            if value.check and value.check.along:
                analytic = value.data.reshape(-1)[value.check.indices]
                pairs = np.stack([analytic, value.check.numeric], axis=1).reshape(-1).tolist()
                assert found[value.name][2] == [*pairs, *value.check.along[:2]]
            canvas = f"document.querySelector('figure[data-name={json.dumps(value.name)}] canvas')"
            if browser.js(f"Boolean({canvas})") and value.data.size <= 4096:
                browser.js(f"{canvas}.scrollIntoView({{block: 'center'}})")
                x, y, wide = browser.js(f"(b => [b.left, b.top, b.width])({canvas}.getBoundingClientRect())")
                browser.move(x + 0.6 * wide, y + 0.4 * wide)
                place, text = browser.js("(r => [Number(r.dataset.index), r.textContent])(document.getElementById('readout'))")
                assert float(text.rsplit(": ", 1)[1]) == np.ravel(value.data)[place], (step.key, value.name)
                read += 1
        browser.press("j")
    assert read > 20
    assert browser.console == []


def test_keys_buttons_links_and_graph_all_lead_to_the_step(tiny, browser):
    told, path = tiny
    keys = [step.key for step in told.steps]
    here = "document.documentElement.dataset.step"
    browser.size(1440, 900)
    browser.open(path)
    presses = {"ArrowRight": 1, "j": 2, "k": 1, "ArrowLeft": 0, "ArrowUp": 0, "End": -1, "l": -1, "Home": 0}
    for key, place in presses.items():
        browser.press(key)
        assert browser.js(here) == keys[place], key
        assert browser.js("location.hash") in ("", f"#{keys[place]}")
    browser.js("document.getElementById('next').click()")
    assert browser.js(here) == keys[1]
    browser.js("document.querySelector('#graph [data-node=kl]').focus()")
    browser.press("Enter")
    assert browser.js(here) == "forward-kl"
    browser.js("document.querySelector('#graph [data-node=kl]').dispatchEvent(new MouseEvent('click', {bubbles: true}))")
    assert browser.js(here) == "backward-kl"
    browser.js("document.querySelectorAll('#strip a')[4].click()")
    browser.wait(f"{here} === {json.dumps(keys[4])}")
    browser.js("history.back()")
    browser.wait(f"{here} === 'backward-kl'")
    browser.open(path, "#split")
    assert browser.js(here) == "split"
    assert browser.js("document.querySelectorAll('#strip [aria-current]').length") == 1
    browser.press("ArrowRight")
    assert browser.js("document.getElementById('announce').textContent").startswith(f"Step {keys.index('split') + 2} of ")


def test_the_keyboard_reaches_everything_and_reads_a_heat_map(seven, browser):
    told, path = seven
    browser.size(1440, 900)
    browser.open(path, "#reconstruction")
    reached = []
    for _ in range(80):
        browser.press("Tab")
        reached.append(browser.js("(e => e.id || e.dataset.node || e.hash || e.dataset.array || e.tagName)(document.activeElement)"))
        if reached[-1] == "x̂":
            break
    assert {"first", "next", "theme", "#split", "mu", "xhat", "x̂"} <= set(reached)
    assert browser.js("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    for key in ("ArrowRight", "ArrowRight", "ArrowDown"):
        browser.press(key)
    text = browser.js("document.getElementById('readout').textContent")
    where, number = text.rsplit(" ", 1)
    assert where == "pixel 30 (row 1, column 2):"
    assert float(number) == told.step("reconstruction").value("x̂").data[0, 30]
    assert browser.js("document.documentElement.dataset.step") == "reconstruction"  # arrows read here, and do not step


def test_nothing_is_wider_than_a_phone(tiny, seven, browser):
    browser.size(390, 844, phone=True)
    for told, path in (tiny, seven):
        browser.open(path)
        for step in told.steps:
            assert browser.js("document.documentElement.scrollWidth") == 390, step.key
            browser.press("j")
    assert browser.js("document.getElementById('next').getBoundingClientRect().height") >= 44
    assert browser.console == []


def test_light_and_dark_follow_the_system_and_the_button(tiny, browser):
    _, path = tiny
    page = "getComputedStyle(document.body).backgroundColor"
    browser.size(1440, 900, dark=True)
    browser.open(path, "#split")
    dark = browser.js(page)
    browser.size(1440, 900)
    light = browser.js(page)
    assert dark != light
    seen = []
    for _ in range(3):
        browser.js("document.getElementById('theme').click()")
        seen.append((browser.js("document.documentElement.dataset.theme || 'auto'"), browser.js(page)))
    assert seen == [("light", light), ("dark", dark), ("auto", light)]
