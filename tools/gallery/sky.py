"""Painters of sky classes, and the sky background for other painters."""

import math

import numpy as np

from tools.gallery.canvas import Array, Canvas, mix, ramp, rgb

# color at the top, color at the horizon, cloud cover in [0, 1], cloud color
_SKIES = {
    "clear": ("#2f78cf", "#b9def4", 0.0, "#ffffff"),
    "cloudy": ("#4f8fd0", "#d4e6f2", 0.45, "#fbfbfa"),
    "overcast": ("#8d99a3", "#ced4d7", 0.75, "#b4bcc2"),
    "dusky": ("#4a4a86", "#f3ab80", 0.35, "#d98f86"),
    "morning": ("#86b4dc", "#fde3bd", 0.3, "#fff1de"),
}
SKY_NAMES = {
    "clear": "a clear blue sky",
    "cloudy": "a blue sky with clouds",
    "overcast": "a gray sky",
    "dusky": "a sky at dusk",
    "morning": "a pale morning sky",
}
DAYLIGHT = ("clear", "cloudy", "overcast", "morning")


def sky(canvas: Canvas, kind: str, *, horizon: float = 1.0) -> None:
    """Cover the canvas with a sky that is palest at y = `horizon`, in [0, 1]."""
    top, low, cover, cloud = _SKIES[kind]
    depth = np.broadcast_to(ramp(canvas.y, 0, horizon), canvas.rgb.shape[:2])
    canvas.paint(1.0, mix(canvas.vary(top), canvas.vary(low), depth))
    if cover:
        shape = canvas.noise(canvas.between(2, 4), canvas.between(5, 8), octaves=6)
        edge = 1 - cover * canvas.between(0.7, 1.1)
        body = mix(cloud, mix(cloud, low, 0.6), ramp(canvas.noise(6, 10), 0.3, 0.8))
        canvas.paint(ramp(shape, edge, edge + 0.3) * 0.9, body)


def ground(canvas: Canvas, horizon: float, cells: float, height: float) -> Array:
    """Return the mask below an uneven skyline, at most `height` above y = `horizon`."""
    return canvas.inside(horizon - canvas.outline(cells) * np.float32(height) - canvas.y)


def starry_night(canvas: Canvas) -> str:
    """Paint stars and the Milky Way over dark land."""
    top, low = canvas.pick([("#070b22", "#1d3a6b"), ("#0b0720", "#4a2f63"), ("#04101c", "#1c5560")])
    depth = np.broadcast_to(ramp(canvas.y, 0, 1), canvas.rgb.shape[:2])
    canvas.paint(1.0, mix(canvas.vary(top, 0.02), canvas.vary(low), depth))
    galaxy = canvas.chance(0.6)
    crowd = canvas.between(0.006, 0.014)
    density = np.full(canvas.rgb.shape[:2], crowd, np.float32)
    if galaxy:
        middle = canvas.between(0.3, canvas.width - 0.3)
        band = canvas.at(middle, 0.45, 0.16, turn=canvas.between(-1, 1), reach=math.inf)
        haze = np.exp(-(band.x**2)) * ramp(canvas.noise(5, 5, octaves=5), 0.15, 0.9)
        dust = np.exp(-(((band.x - 0.2) * 3) ** 2)) * ramp(canvas.noise(7, 7), 0.4, 0.7)
        canvas.light(haze * (1 - dust * 0.7), canvas.vary("#8a8bb5", 0.08) * 0.8)
        density += haze * 0.03
    stars = canvas.rng.random(density.shape, np.float32) < density
    canvas.light(stars * canvas.rng.random(density.shape, np.float32) ** 2, rgb("#ffffff"))
    for _ in range(canvas.count(12, 45)):
        x, y = canvas.between(0, canvas.width), canvas.between(0, 0.85)
        star = canvas.at(x, y, canvas.between(0.004, 0.012), reach=4)
        star.light(star.glow(0, 0, 1), canvas.vary("#eef0ff", 0.12) * 1.2)
    dark = canvas.pick(["#05070c", "#0a0d0a", "#0b0912"])
    horizon = canvas.between(0.8, 1.0)
    canvas.paint(ground(canvas, horizon, canvas.between(1, 4), 0.15), dark)
    trees = canvas.count(3, 14) if canvas.chance(0.5) else 0
    for _ in range(trees):
        fir(canvas, canvas.between(0, canvas.width), horizon, canvas.between(0.1, 0.3), dark)
    feature = "with the Milky Way " if galaxy else ""
    return f"a dark night sky full of stars {feature}over {'fir trees' if trees else 'dark hills'}"


def fir(canvas: Canvas, x: float, foot: float, tall: float, color: Array | str) -> None:
    """Paint a fir tree of height `tall`, with its foot at (x, foot)."""
    tree = canvas.at(x, foot - tall / 2, tall / 2, reach=1.1)
    tiers, wide = canvas.count(5, 8), canvas.between(0.3, 0.42)
    left, right = [], []
    for tier in range(tiers):
        low, slip = -1 + 2 * (tier + 1) / tiers, canvas.between(-0.03, 0.03)
        reach = wide * (tier + 1) / tiers
        left += [(-reach + slip, low), (-reach * 0.45, low - 0.06)]
        right += [(reach + slip, low), (reach * 0.45, low - 0.06)]
    shape = tree.polygon([(0, -1), *left, *reversed(right)])
    tree.paint(shape, color)
    tree.darken(shape * ramp(tree.x, -0.1, 0.3), 0.35)


def rainbow(canvas: Canvas) -> str:
    """Paint a rainbow over hills or the sea, sometimes a double one."""
    kind = canvas.pick(["overcast", "cloudy", "morning", "dusky"])
    horizon = canvas.between(0.68, 0.9)
    sky(canvas, kind, horizon=horizon)
    canvas.paint(0.35, canvas.vary(canvas.pick(["#5f7488", "#7d8fa3", "#6b7391"])))
    x, y = canvas.between(0.1, canvas.width - 0.1), horizon + canvas.between(-0.1, 0.3)
    radius, thick = canvas.between(0.5, 0.85), canvas.between(0.07, 0.13)
    double = canvas.chance(0.4)
    distance = np.hypot(canvas.x - x, canvas.y - y)
    canvas.light(canvas.inside(distance - radius, soft=0.1), rgb("#ffffff") * np.float32(0.08))
    strength = canvas.between(0.55, 0.85)
    _bow(canvas, (distance - radius) / np.float32(thick), strength)
    if double:
        _bow(canvas, (radius + 2.2 * thick - distance) / np.float32(thick), strength * 0.4)
    sea = canvas.chance(0.35)
    if sea:
        waves = canvas.noise(5, 40)
        water = mix(canvas.vary("#2f5d78"), canvas.vary("#7fa3b3"), waves)
        canvas.paint(canvas.inside(horizon - canvas.y), water)
    else:
        for layer in range(3):
            green = mix("#8fa79a", canvas.pick(["#4f8a35", "#7d9a3c", "#3f7040"]), layer / 2)
            low = horizon + layer * (1 - horizon) / 3
            texture = mix(green, canvas.vary(green, 0.1), canvas.noise(20, 40))
            canvas.paint(ground(canvas, low, canvas.between(1, 3), 0.1), texture)
    name, below = "double rainbow" if double else "rainbow", "the sea" if sea else "green hills"
    return f"a {name} in {SKY_NAMES[kind]} over {below}"


def _bow(canvas: Canvas, across: Array, strength: float) -> None:
    """Paint a rainbow, from violet where `across` is -0.5 to red where it is 0.5."""
    stops = np.array([-0.5, -0.3, -0.12, 0.08, 0.25, 0.42], np.float32)
    colors = np.stack(
        [rgb(c) for c in ("#7a4fc0", "#3f6fe0", "#35b25a", "#f4e04a", "#f59a38", "#e8413c")]
    )
    hues = np.stack([np.interp(across, stops, colors[:, i]) for i in range(3)], -1)
    veil = ramp(np.abs(across), 0.62, 0.38) * np.float32(strength)
    canvas.paint(veil, hues.astype(np.float32))


def city_night(canvas: Canvas) -> str:
    """Paint towers with lit windows, often mirrored in water."""
    top, low = canvas.pick([("#0a1030", "#55559a"), ("#140d2b", "#a8506a"), ("#060a14", "#3f6080")])
    shore = canvas.between(0.62, 0.78) if canvas.chance(0.5) else 1.0
    depth = np.broadcast_to(ramp(canvas.y, 0, shore), canvas.rgb.shape[:2])
    canvas.paint(1.0, mix(canvas.vary(top, 0.02), canvas.vary(low), depth))
    moon = canvas.chance(0.4)
    if moon:
        disc = canvas.at(
            canvas.between(0.1, canvas.width - 0.1), canvas.between(0.08, 0.2), 0.04, reach=6
        )
        disc.light(disc.glow(0, 0, 3), rgb("#fff4d8") * np.float32(0.15))
        disc.paint(disc.ellipse(0, 0, 1), "#fff6dc")
    name, towers = f"a city skyline at night{' under the moon' if moon else ''}", 0
    for layer in range(2):
        x = canvas.between(-0.07, 0.03)
        while x < canvas.width:
            wide = canvas.between(0.08, 0.2)
            _tower(
                canvas,
                x,
                shore,
                wide,
                canvas.between(0.15, 0.5) * (1.25 - 0.4 * layer) * shore,
                layer,
            )
            x += wide + canvas.between(-0.01, 0.06)
            towers += layer
    if shore == 1.0:
        return f"{name} with {towers} towers in front"
    rows = canvas.rgb.shape[0]
    start = round(shore * rows)
    mirrored = np.clip(2 * start - np.arange(start, rows) - 1, 0, rows - 1)
    canvas.rgb[start:] = canvas.rgb[mirrored] * np.float32(0.6)
    ripple = ramp(canvas.noise(4, 60, octaves=2), 0.5, 0.8) * (canvas.y > shore)
    canvas.darken(ripple, 0.6)
    return f"{name} mirrored in water, {towers} towers in front"


def _tower(canvas: Canvas, left: float, foot: float, wide: float, tall: float, layer: int) -> None:
    """Paint a tower block with a grid of windows, some lit. Layer 0 is far, layer 1 near."""
    x, y = left + wide / 2, foot - tall / 2
    block = canvas.at(x, y, 1, reach=0.7 * max(wide, tall))
    front = canvas.vary(mix("#34365a", "#141828", layer), 0.03)
    body = block.inside(np.maximum(np.abs(block.x) - wide / 2, np.abs(block.y) - tall / 2))
    block.paint(body, front)
    if canvas.chance(0.3):
        block.paint(block.stroke([(0, -tall / 2), (0, -tall * 0.65)], 0.004), front)
    cell = canvas.between(0.016, 0.03)
    column, row = (block.x + wide / 2) / cell, (block.y + tall / 2) / cell
    size = (_cells(tall / cell), _cells(wide / cell))
    share = canvas.between(0.3, 0.7)
    lit = ramp(canvas.rng.random(size, np.float32), 1 - share, 1.2 - share)
    inside_row = np.clip(np.floor(row).astype(int), 0, size[0] - 1)
    inside_column = np.clip(np.floor(column).astype(int), 0, size[1] - 1)
    pane = (np.abs(column % 1 - 0.5) < 0.32) & (np.abs(row % 1 - 0.5) < 0.3)
    glass = lit[inside_row, inside_column] * pane * body * np.float32(1.0 if layer else 0.55)
    block.paint(glass, canvas.vary(canvas.pick(["#ffd98a", "#fff0c8", "#ffc56a", "#cfe6ff"])))


def _cells(length: float) -> int:
    """Return the number of unit cells that cover a length, at least 1."""
    return max(int(length) + 1, 1)
