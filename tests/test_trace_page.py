"""The page of a trace, as a file and in a browser."""

import base64
import json
import os
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from test_trace import OTHERS, briefly, with_fields

from scratchvae import rng
from scratchvae.models import VAE, ConvVAE, Hourglass, UNet
from scratchvae.study.trace import make_trace, numeric, trace, write_html
from scratchvae.study.trace import page as page_of

VOID = {"meta", "link", "br", "img", "input", "hr"}
CHROMIUMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


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
    """This machine's Chromium; Playwright drives it, and brings none."""
    found = os.environ.get("SCRATCHVAE_CHROMIUM") or next(filter(None, map(shutil.which, CHROMIUMS)), None)
    if found is None:
        pytest.skip("needs Chromium")
    with pytest.importorskip("playwright.sync_api").sync_playwright() as driver:
        yield driver.chromium.launch(executable_path=found, args=["--no-sandbox"])


@pytest.fixture
def opened(browser):
    """A function that opens a file in a window of its own. No script may complain there, and nothing may be fetched."""
    faults = []

    def open_page(path, anchor="", **options):
        page = browser.new_page(**{"viewport": {"width": 1440, "height": 900}, **options})
        page.on(
            "console", lambda message: message.type in ("error", "warning", "assert") and faults.append(message.text)
        )
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("request", lambda request: request.url.startswith(("file:", "data:")) or faults.append(request.url))
        page.goto(path.as_uri() + anchor)
        return page

    yield open_page
    for context in browser.contexts:
        context.close()
    assert faults == []


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
            assert np.array_equal(stored(data, shown["array"]), value.data.reshape(-1)), (step.key, value.name)


def stored(data, place):
    """An array of the page: after a d float64, after an f float32."""
    kind, text = data["arrays"][place][0], data["arrays"][place][1:]
    return np.frombuffer(base64.b64decode(text), {"d": "<f8", "f": "<f4"}[kind])


@pytest.mark.parametrize(("model", "limit"), [
    (lambda: UNet((40, 40), seed=0), 5e6), (lambda: Hourglass((48, 48), joints=2, seed=0), 8e6),
], ids=["unet", "hourglass"])  # fmt: skip
def test_a_page_of_many_channels_is_bounded_and_shows_the_same_ones_throughout(model, limit, tmp_path, monkeypatch):
    monkeypatch.setattr(numeric.Numeric, "_check", lambda self, theta, gradient: None)
    model, fields = with_fields(model(), rows=1)
    told = trace(model, fields)
    write_html(told, tmp_path / "page.html")
    assert (tmp_path / "page.html").stat().st_size < limit
    data, chosen = data_of(tmp_path / "page.html"), {}
    for step, entry in zip(told.steps, data["steps"], strict=True):
        for value, shown in zip(step.values, entry["values"], strict=True):
            if "of 16 channels are shown" in shown["chosen"]:
                names = chosen.setdefault(value.same[-1], shown["names"][0])
                assert len(names) == 12
                assert shown["names"][0] == names, (step.key, value.name)
                channels = [int(name.removeprefix("channel ")) for name in names]
                picture = stored(data, shown["array"]).reshape(12, *value.data.shape[1:3])
                assert np.array_equal(picture, np.moveaxis(value.data[0][..., channels], 2, 0).astype(np.float32))
    assert chosen


def test_a_large_matrix_is_shown_by_the_units_that_are_most_active(seven):
    told, path = seven
    data = data_of(path)
    entry = next(s for s in data["steps"] if s["key"] == "forward-encoder.0")["values"][1]
    assert (entry["name"], entry["shape"], entry["tile"]) == ("W", [784, 400], [28, 28])
    active = told.step("forward-encoder.1").value("y").data[0]
    units = sorted(np.argsort(-active, kind="stable")[:36].tolist())
    assert entry["names"][0] == [f"unit {unit}" for unit in units]
    assert entry["chosen"] == "36 of 400 units are shown, those most active for this image."
    W = told.step("forward-encoder.0").value("W").data.T[units]
    assert np.array_equal(stored(data, entry["array"]).reshape(36, 784), W.astype(np.float32))
    dW = next(s for s in data["steps"] if s["key"] == "backward-encoder.0")["values"][3]
    assert (dW["name"], dW["names"][0]) == ("dW", entry["names"][0])


# In a browser ---------------------------------------------------------------------------------------------------------

CELLS = """[...document.querySelectorAll('#values figure[data-name]')].map(f => [f.dataset.name,
  [...(f.querySelector('table.numbers') || f).querySelectorAll('[data-index]')].map(c => Number(c.dataset.value)),
  [...f.querySelectorAll('.measured [data-index]')].map(c => Number(c.dataset.value)),
  [...f.querySelectorAll('.checked td, .meeting td[data-value]')].map(c => Number(c.dataset.value))])"""
STEP = f"""({{place: document.getElementById('place').textContent, title: document.querySelector('h2').textContent,
  formulas: document.querySelectorAll('#formula math').length, numbers: document.querySelector('#formula .number').textContent,
  code: [...document.querySelectorAll('#code pre')].map(p => p.textContent),
  here: [...document.querySelectorAll('#tree .here')].map(n => n.dataset.node).sort(), cells: {CELLS}}})"""
MIDDLE = """name => {
  const canvas = document.querySelector(`figure[data-name="${name}"] canvas`);
  canvas.scrollIntoView({block: "center"});
  const box = canvas.getBoundingClientRect();
  return [box.left + 0.6 * box.width, box.top + Math.min(0.4 * box.width, 0.5 * box.height)];
}"""


def test_parts_fold_around_where_one_is_and_open_when_asked(tmp_path, opened, monkeypatch):
    monkeypatch.setattr(page_of, "FOLDED", 10)
    model, fields = with_fields(UNet((8, 8), base=2, levels=2, classes=3, seed=1))
    with briefly():
        write_html(trace(model, fields), tmp_path / "unet.html")
    page = opened(tmp_path / "unet.html", "#forward-net.1.4.around.0")
    folded = lambda: page.evaluate("[...document.querySelectorAll('#tree .folded')].map(b => b.dataset.box)")
    inner = ["net.1.4.around.1", "net.1.4.around.1.4", "net.1.4.around.1.4.around.1"]
    assert folded() == inner
    assert page.text_content(f"[data-box='{inner[0]}'] > .head").endswith(" · 15 parts")
    assert not page.is_visible(f"[data-node='{inner[0]}.0']")
    page.click(f"[data-node='{inner[0]}']")
    assert folded() == inner[1:]
    page.click(f"[data-node='{inner[0]}.0']")
    assert page.evaluate("document.documentElement.dataset.step") == f"forward-{inner[0]}.0"
    page.goto(page.url.split("#")[0] + "#forward-net.1.4.join")  # what it joins is marked
    page.wait_for_function("document.documentElement.dataset.step === 'forward-net.1.4.join'")
    feeds = page.evaluate("[...document.querySelectorAll('#tree .feeds')].map(n => n.dataset.node)")
    assert feeds == ["net.1.3", "net.1.4.around.2"]


@pytest.mark.parametrize("name", OTHERS)
def test_any_model_shows_its_own_numbers_and_none_is_wider_than_a_phone(name, tmp_path, opened):
    model, fields = OTHERS[name]()
    with briefly():
        told = trace(model, fields)
    write_html(told, tmp_path / "page.html")
    page = opened(tmp_path / "page.html", viewport={"width": 360, "height": 780}, is_mobile=True)
    read = 0
    for k, step in enumerate(told.steps):
        page.evaluate(f"show({k})")
        assert page.evaluate("document.documentElement.scrollWidth") == 360, step.key
        assert page.evaluate("[...document.querySelectorAll('#tree .here')].map(n => n.dataset.node)") == [step.place]
        for shown, cells, *_ in page.evaluate(CELLS):
            values = [np.sort(np.ravel(value.data)) for value in step.values if value.name == shown]
            if values and cells:  # small ones, which stand there as numbers: in the order of channels
                assert any(np.array_equal(np.sort(cells), value) for value in values), (step.key, shown)
                read += len(cells)
    assert read > 200


def test_every_step_of_the_tiny_network_shows_its_numbers_in_full(tiny, opened):
    told, path = tiny
    page = opened(path)
    shown = 0
    for number, step in enumerate(told.steps, 1):
        seen = page.evaluate(STEP)
        found = {name: rest for name, *rest in seen.pop("cells")}
        assert seen == {
            "place": f"{number} / {len(told.steps)}", "title": step.title, "formulas": len(step.formulas),
            "numbers": f"({', '.join(f'E{n}' for n in step.equations)})" if step.equations else "",
            "code": [code for _, code in step.sources], "here": [step.place],
        }  # fmt: skip
        for meeting in step.meetings:
            numbers = [part for _, part in meeting.parts] + [meeting.total.data, meeting.total.check.numeric]
            rows = np.stack([np.reshape(part, -1) for part in numbers], axis=1)
            assert found[f"meeting {meeting.total.name}"][2] == rows.reshape(-1).tolist()
            shown += rows.size
        if not step.meetings:
            assert set(found) == {value.name for value in step.values}
        for value in [] if step.meetings else step.values:
            cells, measured, _ = found[value.name]
            assert cells == np.ravel(value.data).tolist(), (step.key, value.name)
            assert measured == (value.check.numeric.tolist() if value.check else [])
            shown += len(cells) + len(measured)
        page.keyboard.press("ArrowRight")
    assert shown > 500


def test_every_step_of_the_trained_model_reads_out_the_trace(seven, opened):
    told, path = seven
    page = opened(path)
    read = 0
    for step in told.steps:
        found = {name: rest for name, *rest in page.evaluate(CELLS)}
        for value in [] if step.meetings else step.values:
            if value.check and value.check.along:
                analytic = value.data.reshape(-1)[value.check.indices]
                pairs = np.stack([analytic, value.check.numeric], axis=1).reshape(-1).tolist()
                assert found[value.name][2] == [*pairs, *value.check.along[:2]]
        for name in page.evaluate("[...document.querySelectorAll('figure canvas')].map(c => c.dataset.array)"):
            value = step.value(name)
            if value.data.size <= 4096:
                page.mouse.move(*page.evaluate(MIDDLE, name))
                place, text = page.evaluate(
                    "(r => [Number(r.dataset.index), r.textContent])(document.getElementById('readout'))"
                )
                number = float(text.rsplit(": ", 1)[1])
                assert np.float32(number) == np.float32(np.ravel(value.data)[place]), (step.key, name)
                read += 1
        page.keyboard.press("j")
    assert read > 20


def test_keys_buttons_links_and_graph_all_lead_to_the_step(tiny, opened):
    told, path = tiny
    keys = [step.key for step in told.steps]
    here = "document.documentElement.dataset.step"
    page = opened(path)
    presses = {"ArrowRight": 1, "j": 2, "k": 1, "ArrowLeft": 0, "ArrowUp": 0, "End": -1, "l": -1, "Home": 0}
    for key, place in presses.items():
        page.keyboard.press(key)
        assert page.evaluate(f"[{here}, location.hash || '#{keys[0]}']") == [keys[place], f"#{keys[place]}"], key
    page.click("#next")
    assert page.evaluate(here) == keys[1]
    page.focus(".node[data-node='posterior.gaussian_kl']")
    page.keyboard.press("Enter")
    assert page.evaluate(here) == "forward-posterior.gaussian_kl"
    page.click(".node[data-node='posterior.gaussian_kl']")
    assert page.evaluate(here) == "backward-posterior.gaussian_kl"
    page.click("#strip a >> nth=4")
    page.wait_for_function(f"{here} === {json.dumps(keys[4])}")
    page.go_back()
    page.wait_for_function(f"{here} === 'backward-posterior.gaussian_kl'")
    page = opened(path, "#backward-posterior")
    assert page.evaluate(here) == "backward-posterior"
    assert page.locator("#strip [aria-current]").count() == 1
    page.keyboard.press("ArrowRight")
    assert page.text_content("#announce").startswith(f"Step {keys.index('backward-posterior') + 2} of ")


def test_the_keyboard_reaches_everything_and_reads_a_heat_map(seven, opened):
    told, path = seven
    page = opened(path, "#painted-likelihood")
    reached = []
    for _ in range(80):
        page.keyboard.press("Tab")
        reached.append(
            page.evaluate(
                "(e => e.id || e.dataset.node || e.hash || e.dataset.array || e.tagName)(document.activeElement)"
            )
        )
        if reached[-1] == "x̂":
            break
    assert {"first", "next", "theme", "#backward-posterior", "posterior", "decoder.0", "x̂"} <= set(reached)
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    for key in ("ArrowRight", "ArrowRight", "ArrowDown"):
        page.keyboard.press(key)
    where, number = page.text_content("#readout").rsplit(" ", 1)
    assert where == "pixel 30 (row 1, column 2):"
    assert np.float32(number) == np.float32(told.step("painted-likelihood").value("x̂").data[0, 30])
    assert (
        page.evaluate("document.documentElement.dataset.step") == "painted-likelihood"
    )  # arrows read here, and do not step


def test_nothing_is_wider_than_a_phone(tiny, seven, opened):
    for told, path in (tiny, seven):
        page = opened(path, viewport={"width": 360, "height": 780}, device_scale_factor=2, is_mobile=True)
        widths = page.evaluate("steps.map((_, i) => (show(i), document.documentElement.scrollWidth))")
        assert widths == [360] * len(told.steps)
        assert page.locator("#next").bounding_box()["height"] >= 44


def test_each_colour_of_a_picture_is_a_tile_of_its_own(tmp_path, opened):
    x = rng.uniform(0, rng.CHECK, 0, 0, 75, np.float64)
    told = trace(VAE(75, (3,), 2, seed=0), x, image_shape=(5, 5, 3))
    write_html(told, tmp_path / "colour.html")
    page = opened(tmp_path / "colour.html")
    assert page.text_content("#lesson p").startswith(
        "One image of 25 pixels in 3 colours between 0 (none of a colour) and 1"
    )
    picture = page.locator("figure[data-name=x] canvas")
    size = picture.bounding_box()
    assert size["width"] / size["height"] == pytest.approx(17 / 5, rel=0.05)  # three tiles of 5 × 5, with gaps
    for tile, name in enumerate(("red", "green", "blue")):
        picture.hover(position={"x": (6 * tile + 2.5) / 17 * size["width"], "y": 1.5 / 5 * size["height"]})
        assert (
            page.text_content("#readout")
            == f"pixel 7 (row 1, column 2, {name}): {float(f'{np.float32(x[0, 3 * 7 + tile]):.9g}')}"
        )


def test_channels_and_kernels_are_tiles(tmp_path, opened):
    x = rng.uniform(0, rng.CHECK, 0, np.arange(2), 64, np.float64)
    told = trace(ConvVAE((8, 8), (3, 4), latent=2, seed=1), x, image_shape=(8, 8))
    write_html(told, tmp_path / "conv.html")
    page = opened(tmp_path / "conv.html", "#forward-encoder.3")
    picture = page.locator("figure[data-name=W] canvas")  # (4, 4, 3, 4): 12 tiles of 4 × 4, four beside each other
    size = picture.bounding_box()
    picture.hover(position={"x": 7.5 / 19 * size["width"], "y": 6.5 / 14 * size["height"]})
    W = told.step("forward-encoder.3").value("W").data
    W = f"{np.float32(W[1, 2, 1, 1]):.9g}"  # as many digits as a float32 has
    assert page.text_content("#readout") == f"input channel 1, output channel 1, pixel 6 (row 1, column 2): {float(W)}"
    page = opened(tmp_path / "conv.html", "#backward-encoder.1")
    shown = {name: rest for name, *rest in page.evaluate(CELLS)}["dW"]
    dW = told.step("backward-encoder.1").value("dW")
    assert shown[0] == dW.data.transpose(2, 3, 0, 1).reshape(-1).tolist()
    assert shown[1] == dW.check.numeric.reshape(dW.data.shape).transpose(2, 3, 0, 1).reshape(-1).tolist()


def test_light_and_dark_follow_the_system_and_the_button(tiny, opened):
    _, path = tiny
    page, paper = (
        opened(path, "#backward-posterior", color_scheme="dark"),
        "getComputedStyle(document.body).backgroundColor",
    )
    dark = page.evaluate(paper)
    page.emulate_media(color_scheme="light")
    light = page.evaluate(paper)
    assert dark != light
    seen = []
    for _ in range(3):
        page.click("#theme")
        seen.append((page.evaluate("document.documentElement.dataset.theme || 'auto'"), page.evaluate(paper)))
    assert seen == [("light", light), ("dark", dark), ("auto", light)]


def test_a_name_that_someone_chose_is_text_and_nothing_else(tiny_data, tiny_vae, tmp_path, opened):
    name = (
        "{{data}} {{ trace.loss }} {% include 'microscope.js' %} {# # %s {0} ${steps.length} \\u003c &lt;i&gt; & \"' </p><b>bold "
        "</script><script>document.title = 'run'</script><img src=x onerror=\"document.title = 'run'\">"
    )
    told = make_trace(tiny_vae(), replace(tiny_data, name=name), digit=1)
    told.title = name
    write_html(told, tmp_path / "page.html")
    page = opened(tmp_path / "page.html")
    assert page.title() == f"{name} · one training step"
    assert page.text_content("h1") == f"{name} one training step"
    for place in ("#lesson p", "footer"):
        assert f"with label 1 of {name}. No training has seen it." in page.text_content(place)
    assert page.locator("i:has-text('<'), b:has-text('bold'), img").count() == 0
