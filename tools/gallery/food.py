"""Painters of food classes, on a table."""

import math

import numpy as np

from tools.gallery.canvas import Canvas, mix, ramp, rgb
from tools.gallery.caption import counted
from tools.gallery.garden import leaf

_TABLES = (
    ("a wooden table", "#8a5f3a", "#5a3a20"),
    ("a white table", "#e8e6e2", "#d0ccc6"),
    ("a dark table", "#2c2a2c", "#1a1a1e"),
    ("a blue cloth", "#5a82ac", "#456a94"),
    ("a green cloth", "#7a9a6a", "#62845a"),
)
# color, radius as a share of the pizza's radius, color of the middle
_TOPPINGS = {
    "basil": ("#3f7a2c", 0.09, ""),
    "mushrooms": ("#e0d0b4", 0.09, ""),
    "olives": ("#26242a", 0.06, "#8a6a3a"),
    "salami": ("#a8281e", 0.13, ""),
    "tomatoes": ("#d83a22", 0.12, "#e8a050"),
}


def _table(canvas: Canvas) -> str:
    """Cover the canvas with a tabletop and return its name for the caption."""
    name, first, second = canvas.pick(_TABLES)
    if "wooden" in name:
        grain = np.sin(canvas.y * canvas.between(20, 40) + canvas.noise(2, 8) * 9) * 0.5 + 0.5
    elif "cloth" in name:
        checks = (np.sin(canvas.x * 30) > 0).astype(np.float32) + (np.sin(canvas.y * 30) > 0)
        grain = checks / 2 if canvas.chance(0.5) else canvas.noise(120, 120, octaves=1)
    else:
        grain = canvas.noise(8, 8)
    canvas.paint(1.0, mix(canvas.vary(first), canvas.vary(second), grain.astype(np.float32)))
    canvas.rgb *= (0.75 + 0.4 * canvas.glow(canvas.between(0, 1.3), canvas.between(0, 1), 0.8))[
        ..., None
    ]
    return name


def orange_slices(canvas: Canvas) -> str:
    """Paint orange slices, cut across."""
    table, number = _table(canvas), canvas.pick([1, 2, 3, 5, 8])
    size = {1: 0.4, 2: 0.3, 3: 0.26, 5: 0.2, 8: 0.15}[number] * canvas.between(0.85, 1.15)
    places = canvas.spots(number, 1.8 * size, margin=0.9 * size)
    kind, rind, flesh = canvas.pick(
        [
            ("orange", "#f08a1c", "#f8a838"),
            ("orange", "#e87a14", "#f59a2c"),
            ("blood orange", "#e0681c", "#c8382a"),
        ]
    )
    for x, y in places:
        _slice(
            canvas.at(x, y, size * canvas.between(0.85, 1.1), turn=canvas.between(0, 6)),
            rind,
            flesh,
        )
    return f"{counted(len(places), f'{kind} slice')} on {table}"


def _slice(disc: Canvas, rind: str, flesh: str) -> None:
    """Paint a slice of radius 1."""
    disc.darken(disc.ellipse(0.08, 0.1, 1.08, soft=0.2), 0.45)
    disc.x = disc.x / np.float32(disc.between(0.85, 1))
    reach, angle = np.hypot(disc.x, disc.y), np.arctan2(disc.y, disc.x)
    disc.paint(disc.inside(reach - 1), disc.vary(rind))
    disc.paint(disc.inside(reach - 0.92, soft=0.04), "#fdf0d0")
    turn = angle * disc.count(8, 11) / (2 * math.pi)
    side = np.abs(turn - np.round(turn)) * 2
    wedge = np.maximum(reach - 0.84, 0.12 - reach) + ramp(side, 0.8, 1.0) * 0.3 * ramp(
        reach, 1.2, 0.0
    )
    pulp = disc.noise(14, 14, octaves=2)
    fibers = np.sin(angle * 60 + pulp * 4) * 0.5 + 0.5
    tone = mix(
        mix(flesh, "#ffdf90", 0.45), disc.vary(flesh), ramp(reach, 0.1, 0.7) * 0.7 + pulp * 0.3
    )
    disc.paint(disc.inside(wedge, soft=0.05), mix(tone, mix(flesh, "#b04808", 0.35), fibers * 0.5))
    disc.light(ramp(pulp, 0.72, 0.9) * disc.inside(wedge), rgb("#ffffff") * np.float32(0.25))


def pizza(canvas: Canvas) -> str:
    """Paint a round pizza from above, whole or with a slice missing."""
    table = _table(canvas)
    x, y = canvas.width / 2 + canvas.between(-0.2, 0.2), 0.5 + canvas.between(-0.12, 0.12)
    pie = canvas.at(x, y, canvas.between(0.36, 0.56), turn=canvas.between(0, 6), reach=1.5)
    angle, rough = np.arctan2(pie.y, pie.x), pie.noise(6, 6)
    reach = np.hypot(pie.x, pie.y) + (rough - 0.5) * 0.06
    missing = canvas.chance(0.35)
    gap = pie.inside((np.abs(angle) - 0.4) * reach) if missing else np.zeros_like(reach)
    whole = 1 - gap
    plate = canvas.chance(0.5)
    pie.darken(pie.ellipse(0.05, 0.06, 1.25 if plate else 1.05, soft=0.2), 0.5)
    if plate:
        rim = np.hypot(pie.x, pie.y)
        pie.paint(
            pie.inside(rim - 1.2),
            mix("#f4f2ee", "#b8b8c0", ramp(np.abs(rim - 1.08), 0.06, 0.0) * 0.6),
        )
    crust = mix(
        mix("#d89a50", "#8a4f1c", ramp(pie.noise(9, 9), 0.4, 0.9)),
        "#f4d8a0",
        ramp(np.abs(reach - 0.93), 0.06, 0) * 0.5,
    )
    pie.paint(pie.inside(reach - 1) * whole, crust)
    pie.paint(pie.inside(reach - 0.87, soft=0.05) * whole, pie.vary("#b8371c"))
    cheese = mix(pie.vary("#f4cf72"), "#d98a34", ramp(pie.noise(12, 12), 0.45, 0.9))
    melted = ramp(pie.noise(8, 8), 0.18, 0.36) * pie.inside(reach - 0.83, soft=0.06)
    pie.paint(melted * whole, cheese)
    names = _toppings(pie, 0.55 if missing else 0.0)
    cuts = np.abs(np.sin(angle * 4)) * reach
    pie.darken(pie.inside(cuts - 0.02) * pie.inside(reach - 0.95) * whole, 0.35)
    slices = " with a slice gone" if missing else ""
    return f"a pizza with {names}{slices} on {'a plate on ' if plate else ''}{table}"


def _toppings(pie: Canvas, first: float) -> str:
    """Scatter two or three toppings, from the angle `first` in radians; return their names."""
    names = sorted(pie.rng.choice(sorted(_TOPPINGS), pie.count(2, 3), replace=False).tolist())
    for name in names:
        color, size, middle = _TOPPINGS[name]
        for _ in range(pie.count(7, 13)):
            out, turn = 0.78 * math.sqrt(pie.between(0.03, 1)), pie.between(first, math.tau - first)
            bit = pie.at(out * math.cos(turn), out * math.sin(turn), size, turn=turn, reach=1.7)
            flat = 0.5 if name == "basil" else pie.between(0.85, 1)
            bit.darken(bit.ellipse(0.15, 0.2, 1, flat, soft=0.5), 0.4)
            tone = mix(pie.vary(color), "#200c08", 0.35 * ramp(np.hypot(bit.x, bit.y), 0, 1))
            bit.paint(bit.ellipse(0, 0, 1, flat), tone)
            if middle:
                bit.paint(bit.ellipse(0, 0, 0.45, soft=0.3), middle)
    return " and ".join(names)


def strawberry(canvas: Canvas) -> str:
    """Paint strawberries with seeds and green leaves."""
    table, number = _table(canvas), canvas.pick([2, 3, 5, 7])
    size = {2: 0.34, 3: 0.29, 5: 0.24, 7: 0.2}[number] * canvas.between(0.85, 1.15)
    places = canvas.spots(number, 1.6 * size, margin=0.8 * size)
    for x, y in places:
        _berry(canvas.at(x, y, size, turn=canvas.between(-2.2, 2.2), reach=1.7))
    return f"{counted(len(places), 'red strawberry', 'red strawberries')} on {table}"


def _berry(berry: Canvas) -> None:
    """Paint a hanging strawberry, from y = -0.8 down to y = 1."""
    red = berry.vary(berry.pick(["#d0202a", "#c41a20", "#e03430"]))
    berry.darken(berry.ellipse(0.1, 0.15, 0.95, 1.1, soft=0.4), 0.5)
    down = np.clip((berry.y + 0.8) / 1.8, 0, 1)
    half = berry.between(0.8, 0.95) * np.sin(np.sqrt(down) * np.float32(3.14)) ** 0.62
    body = berry.inside(np.abs(berry.x) - half, soft=0.03) * (np.abs(berry.y - 0.1) < 0.9)
    light = ramp(np.hypot(berry.x + 0.3, berry.y + 0.2), 0.1, 1.2)
    berry.paint(body, mix(mix(red, "#ff9080", 0.4), mix(red, "#3a0408", 0.6), light))
    pitch = berry.between(0.2, 0.27)
    row = np.floor(berry.y / pitch)
    bulge = berry.x / np.maximum(half, 0.3) * 0.9
    u, v = (bulge / pitch + (row % 2) * 0.5) % 1 - 0.5, berry.y / pitch - row - 0.5
    berry.darken(body * ramp(np.hypot(u * 1.3, v - 0.05), 0.42, 0.1), 0.45)
    berry.paint(body * ramp(np.hypot(u * 2, v), 0.25, 0.15), "#f4d878")
    berry.light(
        berry.ellipse(-0.3, -0.25, 0.2, 0.3, soft=0.35) * body, rgb("#ffffff") * np.float32(0.22)
    )
    for turn in np.linspace(-0.4, math.pi + 0.4, 6):
        leaf(berry, 0.0, -0.8, berry.between(0.5, 0.7), turn=float(turn) * 0.95, green="#4f9a34")
    berry.paint(berry.stroke([(0, -0.8), (0.06, -1.15)], 0.07), "#5f9a3a")
