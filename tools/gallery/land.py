"""Painters of landscape classes."""

import math

import numpy as np

from tools.gallery.canvas import Array, Canvas, mix, ramp, rgb
from tools.gallery.caption import counted, one
from tools.gallery.sky import SKY_NAMES, fir, ground, sky


def sunset_sea(canvas: Canvas) -> str:
    """Paint a sunset over the sea."""
    name, top, middle, low = canvas.pick([
        ("orange", "#5a3a6e", "#ef7b45", "#fbd06a"),
        ("red", "#3a1f4a", "#c93f3f", "#f59a55"),
        ("golden", "#8a6a6a", "#f0a848", "#fdeaa0"),
        ("pink", "#4a4f8f", "#e0809a", "#fbcfa0"),
    ])  # fmt: skip
    horizon = canvas.between(0.45, 0.72)
    high, warm = ramp(canvas.y, 0, horizon * 0.7), ramp(canvas.y, horizon * 0.4, horizon)
    dusk = mix(mix(canvas.vary(top), canvas.vary(middle), high), canvas.vary(low), warm)
    canvas.paint(1.0, np.broadcast_to(dusk, canvas.rgb.shape))
    clouds = canvas.chance(0.6)
    if clouds:
        streaks = canvas.noise(2, canvas.between(8, 16), octaves=5)
        canvas.paint(ramp(streaks, 0.5, 0.8) * 0.7, canvas.vary(mix(top, middle, 0.35)))
    x, radius = canvas.between(0.2, canvas.width - 0.2), canvas.between(0.035, 0.1)
    y = horizon - radius * canvas.between(-0.4, 2.2)
    canvas.light(canvas.glow(x, y, radius * 4), rgb(low) * np.float32(0.35))
    canvas.light(canvas.ellipse(x, y, radius, soft=0.01), rgb("#fff0c0") * np.float32(0.8))
    depth = ramp(canvas.y, horizon, 1.1)
    swell = canvas.noise(3, 30) * 0.5 + canvas.noise(14, 90, octaves=2) * 0.5
    sea = mix(mix(middle, top, 0.3 + depth * 0.6), "#16203a", 0.35)
    sea = mix(sea, mix(low, middle, depth), ramp(swell, 0.45, 0.9) * 0.5)
    water = canvas.inside(horizon - canvas.y)
    canvas.paint(water, sea)
    path = np.exp(-(((canvas.x - x) / (radius * 0.7 + depth * 0.35)) ** 2))
    canvas.light(water * path * ramp(swell, 0.35, 0.65), rgb(low) * np.float32(0.7))
    headland = canvas.chance(0.4)
    if headland:
        side = canvas.pick(
            [ramp(canvas.x, 0.7, 0), ramp(canvas.x, canvas.width - 0.7, canvas.width)]
        )
        rise = side * (0.05 + 0.15 * canvas.outline(4))
        canvas.paint(
            canvas.inside(np.maximum(horizon - rise - canvas.y, canvas.y - horizon)), "#1d1522"
        )
    seen = ("streaks of cloud" if clouds else "a clear sky") + (" and a dark headland" * headland)
    return f"{one(f'{name} sunset')} over the sea with {seen}"


def snowy_mountain(canvas: Canvas) -> str:
    """Paint snowy peaks above firs, a lake or a meadow."""
    kind = canvas.pick(["clear", "cloudy", "morning", "dusky", "overcast"])
    foot = canvas.between(0.68, 0.85)
    sky(canvas, kind, horizon=foot)
    peaks = canvas.count(1, 4)
    canvas.paint(ground(canvas, foot, 5, 0.2), canvas.vary("#8494a6"))  # a distant range in haze
    light = canvas.pick([-1, 1])
    span = canvas.width / peaks
    summits = [
        (canvas.between(0.12, 0.4), span * (i + canvas.between(0.2, 0.8))) for i in range(peaks)
    ]
    for y, x in sorted(summits):
        _peak(canvas, x, y, foot, light, mix("#6a7688", "#4a4f5a", canvas.between(0, 1)))
    canvas.paint(
        ramp(canvas.y, foot - 0.25, foot) * 0.35, mix("#b8c8d8", canvas.vary("#c8c0c0"), 0.5)
    )
    front = canvas.pick(["fir trees", "a lake", "a meadow"])
    if front == "a lake":
        rows = canvas.rgb.shape[0]
        start = round(foot * rows)
        canvas.rgb[start:] = (
            canvas.rgb[np.clip(2 * start - np.arange(start, rows) - 1, 0, rows - 1)] * 0.75
        )
        canvas.paint(
            ramp(canvas.noise(4, 50, octaves=2), 0.5, 0.9) * (canvas.y > foot) * 0.4, "#9fb8c8"
        )
    else:
        green = canvas.pick(["#3f5f34", "#5f7a3a", "#6f6f3f", "#dfe6ea"])
        field = mix(green, canvas.vary(mix(green, "#20301c", 0.4)), canvas.noise(14, 50))
        canvas.paint(ground(canvas, foot, 3, 0.05), field)
    for _ in range(canvas.count(15, 40) if front == "fir trees" else 0):
        low = canvas.between(foot, 1.05)
        fir(
            canvas,
            canvas.between(0, canvas.width),
            low,
            0.1 + 0.5 * (low - foot) + 0.05,
            canvas.vary("#1f3a2a", 0.04),
        )
    return f"{counted(peaks, 'snowy peak')} under {SKY_NAMES[kind]} with {front} in front"


def _peak(canvas: Canvas, x: float, y: float, foot: float, light: int, rock: Array) -> None:
    """Paint a mountain with its summit at (x, y), lit from the left (-1) or the right (1)."""
    slope = canvas.between(0.75, 1.3)
    rough = canvas.outline(12, octaves=5) * 0.12 - 0.06
    away = np.abs(canvas.x - x)
    line = y + away * slope * (0.8 + canvas.outline(5) * 0.4) + rough * ramp(away, 0, 0.15)
    body = canvas.inside(np.maximum(line - canvas.y, canvas.y - foot - 0.02))
    crags = canvas.noise(9, 6, octaves=6)
    spine = (canvas.x - x) * light + (crags - 0.5) * (0.1 + 0.5 * (canvas.y - y))
    sunny = ramp(spine, -0.03, 0.03) * 0.75 + canvas.relief(crags, 0.8, 0.06) * 0.25
    snowline = y + (foot - y) * canvas.between(0.35, 0.8)
    snow = ramp(canvas.y + (crags - 0.5) * 0.5, snowline + 0.03, snowline - 0.03)
    bare = mix(mix(rock, "#20242e", 0.5), mix(rock, "#c0b0a0", 0.4), sunny)
    canvas.paint(body, mix(bare, mix("#8fa6c8", "#fdfdff", sunny), snow))


def green_hills(canvas: Canvas) -> str:
    """Paint rolling meadows with scattered trees."""
    kind = canvas.pick(["clear", "cloudy", "overcast", "morning"])
    horizon, layers = canvas.between(0.3, 0.55), canvas.count(3, 6)
    sky(canvas, kind, horizon=horizon + 0.1)
    near = canvas.pick(["#4f8f2a", "#6fa03a", "#3f7a35", "#8a9a3a"])
    light, trees = canvas.between(0, 3), 0
    for layer in range(layers):
        share = (layer + 1) / layers
        base = horizon + (1.05 - horizon) * (layer / layers)
        green = canvas.vary(mix("#9fb8a8", near, share), 0.05)
        rise = canvas.outline(canvas.between(0.8, 2), octaves=2) * canvas.between(0.1, 0.2)
        below = canvas.y - base + rise
        rows = np.sin((below * 120 + canvas.x * canvas.between(-30, 30)) / share)
        grass = mix(
            mix(green, "#1f3a1a", 0.3), mix(green, "#e8e8a0", 0.3), canvas.noise(4, 3) * 0.8
        )
        grass = mix(grass, canvas.vary(green, 0.06), 0.3 * canvas.noise(60, 90, octaves=2))
        mask = canvas.inside(-below)
        canvas.paint(mask, grass)
        if canvas.chance(0.35):
            canvas.darken(mask * ramp(rows, 0, 1) * ramp(below, 0, 0.04), 0.16)
        for _ in range(canvas.count(0, 7)):
            x = canvas.between(0, canvas.width)
            column = min(int(x / canvas.pixel), rise.shape[1] - 1)
            _tree(
                canvas, x, base - float(rise[0, column]) + 0.03 * share, 0.02 + 0.05 * share, light
            )
            trees += layer == layers - 1
    return f"green hills under {SKY_NAMES[kind]}, {counted(trees, 'tree')} on the nearest"


def _tree(canvas: Canvas, x: float, y: float, size: float, light: float) -> None:
    """Paint a round tree with its foot at (x, y), lit from the direction `light` in radians."""
    tree = canvas.at(x, y - size, size, reach=1.6)
    tree.darken(tree.ellipse(0.3, 1.05, 1, 0.2, soft=0.3), 0.35)
    tree.paint(tree.stroke([(0, 0), (0, 1.1)], 0.15), "#3a2c1e")
    rough = (tree.noise(5, 5, octaves=3) - 0.5) * 0.6
    crown = tree.inside(np.hypot(tree.x, tree.y) - 0.8 + rough)
    shade = ramp(tree.x * np.cos(light) - tree.y * np.sin(light) + rough, -0.8, 0.9)
    tree.paint(crown, mix("#1c3516", canvas.vary("#7a9a3f", 0.06), shade))


def forest(canvas: Canvas) -> str:
    """Paint rows of tree trunks in haze."""
    season, haze, leaf, floor = canvas.pick([
        ("summer", "#cfe0a0", "#3f7a2a", "#3a5a24"),
        ("autumn", "#f2d8a0", "#c9761f", "#8a5a28"),
        ("misty", "#d0d8d6", "#4a6358", "#3f4a3c"),
        ("spring", "#e4f0b8", "#86b23f", "#5f7a35"),
    ])  # fmt: skip
    horizon = canvas.between(0.55, 0.78)
    bright = canvas.at(canvas.between(0.2, 1.1), horizon * 0.6, 0.5, reach=math.inf)
    canvas.paint(1.0, mix(mix(haze, leaf, 0.55), haze, bright.glow(0, 0, 1)))
    canvas.paint(
        canvas.noise(12, 12, octaves=5) * ramp(canvas.y, 0.6, 0) * 0.8, mix(leaf, haze, 0.3)
    )
    soil = mix(canvas.vary(floor), mix(floor, haze, 0.5), canvas.noise(10, 40, octaves=5))
    canvas.paint(canvas.inside(horizon - canvas.y, soft=0.08), soil)
    for layer in range(4):
        furrows = canvas.noise(60, 8, octaves=2)
        near = (layer + 1) / 4
        for _ in range(canvas.count(3, 8) if layer < 3 else canvas.count(1, 4)):
            bark = mix(haze, "#2e2118", 0.25 + near * 0.65)
            _trunk(canvas, horizon + (1 - horizon) * near * 0.8, near, bark, furrows)
        leaves = canvas.noise(10 / near, 10 / near, octaves=5) + ramp(canvas.y, 0.0, 0.8) * 0.7
        tint = mix(mix(haze, leaf, near), "#16240f", canvas.between(0, 0.3) * near)
        canvas.paint(ramp(leaves, 0.55, 0.4) * 0.85, canvas.vary(tint))
    beams = season != "misty" and canvas.chance(0.5)
    if beams:
        slant = canvas.at(0.6, 0, 1, turn=canvas.between(0.3, 0.8), reach=math.inf)
        light = ramp(np.sin(slant.x * 23 + np.sin(slant.x * 7) * 2), 0.3, 1) * ramp(
            canvas.y, 1, 0.1
        )
        canvas.light(light, rgb(haze) * np.float32(0.22))
    return f"tall trunks in {one(f'{season} forest')}{' with beams of light' if beams else ''}"


def _trunk(canvas: Canvas, foot: float, near: float, bark: Array, furrows: Array) -> None:
    """Paint a trunk with its foot at y = `foot`, reaching beyond the top of the picture."""
    x, thick = canvas.between(0, canvas.width), canvas.between(0.012, 0.03) * (0.4 + 2.2 * near**2)
    lean, flare = canvas.between(-0.08, 0.08), np.exp((canvas.y - foot) * 25)
    across = (canvas.x - x - lean * (canvas.y - foot)) / (thick * (1 + 0.8 * flare))
    mask = canvas.inside(np.maximum((np.abs(across) - 1) * thick, canvas.y - foot))
    canvas.paint(
        mask, mix(mix(bark, "#d8c8a0", 0.25), mix(bark, "#100c08", 0.5), ramp(across, -1, 1))
    )
    canvas.darken(mask * furrows, 0.35 * near)


def desert_dunes(canvas: Canvas) -> str:
    """Paint sand dunes with sharp crests and ripples."""
    kind = canvas.pick(["clear", "clear", "dusky", "morning"])
    horizon = canvas.between(0.32, 0.52)
    sky(canvas, kind, horizon=horizon + 0.1)
    name, sand = canvas.pick(
        [("orange", "#d9853b"), ("golden", "#dcb26a"), ("red", "#b9583a"), ("pale", "#e3cfa8")]
    )
    side, dunes = canvas.pick([-1, 1]), canvas.count(3, 6)
    for dune in range(dunes):
        base = horizon + (1.02 - horizon) * (dune / dunes) ** 1.2
        rise = canvas.outline(canvas.between(1.2, 2.4), octaves=1) * canvas.between(0.12, 0.26)
        below = canvas.y - base + rise
        steep = np.gradient(rise, axis=1) * np.float32(side / canvas.pixel)
        crest = canvas.noise(3, 2, octaves=2) * 0.12
        lit = ramp(steep - (below - crest) * 0.8, -0.1, 0.06)
        tone = canvas.vary(mix(sand, "#f0dcc0", 0.35 * (1 - dune / dunes)), 0.03)
        grains = canvas.noise(90, 90, octaves=1) * 0.06
        surface = mix(mix(tone, "#3a1a14", 0.5), mix(tone, "#fff0d0", 0.2), lit * 0.9 + grains)
        wavy = (
            below * 60 / (0.4 + below * 3) + canvas.x * 6 * side + canvas.noise(4, 4, octaves=2) * 5
        )
        mask = canvas.inside(-below)
        canvas.paint(mask, surface)
        canvas.darken(mask * ramp(np.sin(wavy * 3), -0.2, 1) * ramp(below, 0.02, 0.2), 0.12)
    return f"{name} sand dunes under {SKY_NAMES[kind]}"
