"""Measuring a page as the browser shows it: what sticks out, and what cannot be read."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Page

#: Contrast that WCAG 2.2 asks of text (1.4.3), and of large text: 24 px, or 18.66 px where it is bold.
CONTRAST, CONTRAST_OF_LARGE = 4.5, 3.0

_NAME = """
const name = (element) => element.tagName.toLowerCase()
  + (element.id ? '#' + element.id : '')
  + (element.classList.length ? '.' + [...element.classList].join('.') : '')
  + ' "' + (element.textContent || '').trim().slice(0, 40) + '"';
"""

#: An element may stick out where an ancestor that does not do so itself cuts it off.
_STICKING_OUT = (
    _NAME
    + """
const over = (element) => element.getBoundingClientRect().right > innerWidth + 0.5;
const cut = (element) => {
  for (let one = element.parentElement; one && one !== document.body; one = one.parentElement)
    if (getComputedStyle(one).overflowX !== 'visible' && !over(one)) return true;
  return false;
};
return [...document.body.querySelectorAll('*')]
  .filter((element) => element.getClientRects().length && over(element) && !cut(element))
  .map(name);
"""
)

_SCROLLING = (
    _NAME
    + """
return [...document.querySelectorAll('*')]
  .filter((element) => ['auto', 'scroll'].includes(getComputedStyle(element).overflowX)
    && element.scrollWidth > element.clientWidth + 1)
  .map(name);
"""
)

#: Each text with its contrast, of which `null` says that it cannot be told (an image lies behind).
_TEXTS = (
    _NAME
    + """
const pixel = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
const parsed = new Map();
const parse = (text) => {  // to red, green, blue and opacity, 0…1, whatever the notation
  if (!parsed.has(text)) {
    pixel.clearRect(0, 0, 1, 1);
    pixel.fillStyle = text;
    pixel.fillRect(0, 0, 1, 1);
    parsed.set(text, [...pixel.getImageData(0, 0, 1, 1).data].map((one) => one / 255));
  }
  return parsed.get(text);
};
const mix = (above, below, share) => above.map((one, i) => share * one + (1 - share) * below[i]);
const over = (colour, below) => mix(colour.slice(0, 3), below, colour[3]);
const bright = (colour) => {
  const [r, g, b] = colour.map((one) => one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const ratio = (one, other) => {
  const [low, high] = [bright(one), bright(other)].sort((a, b) => a - b);
  return (high + 0.05) / (low + 0.05);
};
const probe = document.body.appendChild(document.createElement('i'));
probe.style.background = 'Canvas';
const canvas = parse(getComputedStyle(probe).backgroundColor).slice(0, 3);
probe.remove();

const contrast = (element, styles) => {
  const path = [];
  for (let one = element; one; one = one.parentElement) path.unshift(getComputedStyle(one));
  path.push(...styles);
  const behind = [canvas];  // what lies behind each of the path, each as if it were opaque
  for (const style of path) {
    if (style.backgroundImage !== 'none' || style.filter !== 'none') return null;
    behind.push(over(parse(style.backgroundColor), behind.at(-1)));
  }
  let ground = behind.at(-1);
  let ink = over(parse(path.at(-1).color), ground);
  for (let i = path.length - 1; i >= 0; i--) {
    const share = parseFloat(path[i].opacity);
    ink = mix(ink, behind[i], share);
    ground = mix(ground, behind[i], share);
  }
  return ratio(ink, ground);
};
const measured = (element, text, style, more) => {
  const size = parseFloat(style.fontSize);
  return {
    name: name(element),
    text: text.trim().slice(0, 60),
    large: size >= 24 || (size >= 18.66 && parseInt(style.fontWeight) >= 700),
    contrast: contrast(element, more),
  };
};
const shown = (element) => element.checkVisibility({visibilityProperty: true, opacityProperty: true})
  && !element.closest('svg');
const found = [];
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const node = walker.currentNode, element = node.parentElement;
  const range = document.createRange();
  range.selectNodeContents(node);
  const seen = [...range.getClientRects()].some((box) => box.width > 1 && box.height > 1
    && box.right + scrollX > 0 && box.bottom + scrollY > 0);
  if (node.data.trim() && seen && shown(element))
    found.push(measured(element, node.data, getComputedStyle(element), []));
}
for (const element of document.body.querySelectorAll('*'))
  for (const pseudo of ['::before', '::after']) {
    const style = getComputedStyle(element, pseudo);
    if (/[^\\s"']/.test(style.content) && !['none', 'normal'].includes(style.content)
        && style.display !== 'none' && shown(element))
      found.push(measured(element, style.content, style, [style]));
  }
return found;
"""
)


_BROKEN_WORDS = """
const found = [];
for (const heading of document.querySelectorAll('thead th')) {
  const walker = document.createTreeWalker(heading, NodeFilter.SHOW_TEXT);
  for (let node; node = walker.nextNode();)
    for (const word of node.data.matchAll(/\\S+/g)) {
      const range = document.createRange();
      range.setStart(node, word.index);
      range.setEnd(node, word.index + word[0].length);
      if (range.getClientRects().length > 1) found.push(word[0]);
    }
}
return found;
"""


def _measured(page: Page, body: str) -> list[Any]:
    found = page.evaluate(f"() => {{ {body} }}")
    assert isinstance(found, list)
    return found


def sticking_out(page: Page) -> list[str]:
    """Return the elements that are not wholly left of the window's right edge, and not cut off there."""
    return _measured(page, _STICKING_OUT)


def scrolling_sideways(page: Page) -> list[str]:
    """Return the elements that a reader must scroll sideways to see the whole of."""
    return _measured(page, _SCROLLING)


def broken_words(page: Page) -> list[str]:
    """Return the words in headings of tables that go on in the next line."""
    return _measured(page, _BROKEN_WORDS)


def texts(page: Page) -> list[dict[str, Any]]:
    """Return each text that is shown outside drawings: its element, whether it is large, and its contrast."""
    return _measured(page, _TEXTS)


def illegible(page: Page) -> list[str]:
    """Return the texts whose contrast is too low, or cannot be told."""
    found = []
    measured = texts(page)
    assert measured, "there is no text"
    for text in measured:
        least = CONTRAST_OF_LARGE if text["large"] else CONTRAST
        if text["contrast"] is None or text["contrast"] < least - 0.005:
            found.append(f"{text['name']}: {text['contrast']} for {text['text']!r}")
    return found
