"""Words stand out from what is behind them, in both themes: 4.5 to 1 (WCAG 2.2, 1.4.3)."""

from pathlib import Path

import pytest

from web.templatetags.ui import COLOURS, state

STYLES = Path(__file__).parents[2] / "services/web/web/static/web"

WORDS = (
    *("text-secondary", "form-hint", "invalid-feedback d-block", "form-label", "datagrid-title", "subheader"),
    *("btn", "btn active", "btn btn-primary", "btn btn-danger", "btn btn-outline-danger", "btn btn-outline-warning"),
    "badge bg-red text-red-fg",
    *("alert alert-info", "alert alert-success", "alert alert-warning", "alert alert-danger"),
)

CONTRASTS = """
elements => {
    const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true })
    const paint = (colour) => { canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1) }
    const luminance = () => {
        const [red, green, blue] = [...canvas.getImageData(0, 0, 1, 1).data.slice(0, 3)].map(value => {
            const share = value / 255
            return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4
        })
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue
    }
    return elements.map(element => {
        const behind = []
        for (let each = element; each; each = each.parentElement) behind.unshift(getComputedStyle(each).backgroundColor)
        paint("white")
        behind.forEach(paint)
        const ground = luminance()
        paint(getComputedStyle(element).color)
        const [less, more] = [ground, luminance()].sort((one, other) => one - other)
        return [element.className, (more + 0.05) / (less + 0.05)]
    })
}
"""


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_states_buttons_and_warnings_are_legible(chromium, theme):
    states = "".join(state(value, value) for value in COLOURS)
    words = "".join(f'<div class="{name}">Words</div>' for name in WORDS)
    page = chromium.new_page()
    page.set_content(
        f'<html data-bs-theme="{theme}"><body><style>* {{ transition: none !important }}</style>'
        f'<div class="card"><div class="card-body">{states}{words}</div></div>'
    )
    for style in (STYLES / "vendor/tabler.min.css", STYLES / "vestnik.css"):
        page.add_style_tag(path=style)
    found = dict(page.locator(".card-body > *").evaluate_all(CONTRASTS))
    page.close()
    assert {f"status status-{colour} text-nowrap" for colour in COLOURS.values()} | set(WORDS) == found.keys()
    assert {name: round(ratio, 2) for name, ratio in found.items() if ratio < 4.5} == {}
