"""Painters of animal classes."""

import math

import numpy as np

from tools.gallery.canvas import Canvas, Point, mix, ramp, rgb
from tools.gallery.caption import counted, one
from tools.gallery.garden import backdrop, petals
from tools.gallery.sky import ground


def butterfly(canvas: Canvas) -> str:
    """Paint a butterfly with open wings in front of blurred flowers."""
    setting, colors = canvas.pick([
        ("green leaves", ["#3f6a2a", "#7a9f4a", "#2a4a2a"]),
        ("pink flowers", ["#d88ab0", "#5f8a4a", "#e8b8d0"]),
        ("yellow flowers", ["#e8c84a", "#5f8a3a", "#f4e090"]),
        ("the sky", ["#8fbce0", "#c8e0f0", "#a8cce8"]),
    ])  # fmt: skip
    backdrop(canvas, colors)
    canvas.blur(0.01)
    if "flowers" in setting:
        bloom = canvas.at(
            canvas.width / 2 + canvas.between(-0.2, 0.2), 0.75, canvas.between(0.3, 0.5)
        )
        mask, across = petals(
            bloom, bloom.count(8, 14), inner=0.3, sharp=0.5, phase=bloom.between(0, 6)
        )
        bloom.paint(mask, mix(colors[0], mix(colors[0], "#4a2030", 0.4), across**2))
        bloom.paint(bloom.ellipse(0, 0, 0.22, soft=0.06), "#d8a030")
    name, inner, outer = canvas.pick([
        ("orange", "#f29a2e", "#d9601a"),
        ("blue", "#5fb4f0", "#2a5fc0"),
        ("yellow", "#f8e060", "#e8b020"),
        ("white", "#f8f6ee", "#d8d8e0"),
        ("red", "#e85a3a", "#a82020"),
        ("purple", "#b58af0", "#6a3ab0"),
    ])  # fmt: skip
    x, y = canvas.width / 2 + canvas.between(-0.25, 0.25), canvas.between(0.42, 0.58)
    insect = canvas.at(x, y, canvas.between(0.36, 0.5), turn=canvas.between(-0.7, 0.7), reach=1.6)
    _wings(insect, inner, outer)
    body = [("#1a1210", 0.0, 0.1, 0.07, 0.42), ("#2a1c16", 0.0, -0.32, 0.085, 0.12)]
    for color, left, top, wide, tall in body:
        insect.paint(insect.ellipse(left, top, wide, tall, soft=0.03), color)
    for side in (-1, 1):
        feeler = [(0.0, -0.4), (side * 0.12, -0.65), (side * 0.28, -0.85)]
        insect.paint(insect.stroke(feeler, 0.025), "#1a1210")
        insect.paint(insect.ellipse(side * 0.28, -0.86, 0.035), "#1a1210")
    return f"{one(f'{name} butterfly')} with dark wing edges before {setting}"


def _wings(insect: Canvas, inner: str, outer: str) -> None:
    """Paint four symmetric wings, seen from an angle."""
    fore = _grown(
        insect,
        [(0.03, -0.25), (0.5, -0.85), (1.05, -0.95), (1.15, -0.6), (0.85, -0.1), (0.05, 0.05)],
    )
    hind = _grown(
        insect, [(0.05, -0.02), (0.75, 0.0), (0.9, 0.35), (0.7, 0.8), (0.4, 0.85), (0.05, 0.3)]
    )
    edge, spots = insect.between(0.78, 0.9), insect.count(3, 6)
    dark, pale = insect.pick(["#16100e", "#2a1a12", "#101528"]), insect.pick(["#ffffff", "#f8e8b0"])
    for side in (-1, 1):
        squeeze = insect.between(0.75, 1.0) * side
        for wing, middle in ((hind, (0.45, 0.4)), (fore, (0.6, -0.5))):
            insect.paint(insect.polygon([(x * squeeze, y) for x, y in wing]), dark)
            small = [
                (middle[0] + (x - middle[0]) * edge, middle[1] + (y - middle[1]) * edge)
                for x, y in wing
            ]
            pane = insect.polygon([(x * squeeze, y) for x, y in small])
            out = np.hypot(insect.x / squeeze, insect.y)
            tone = mix(inner, outer, ramp(out, 0.2, 1.1))
            veins = np.abs(np.sin(np.arctan2(insect.y, np.abs(insect.x)) * 9))
            insect.paint(pane, tone)
            insect.paint(pane * ramp(veins, 0.16, 0.04) * 0.75, dark)
            eye = insect.ellipse(middle[0] * squeeze * 1.15, middle[1] * 1.1, 0.12, 0.12, soft=0.03)
            insect.paint(eye * 0.85, dark)
            insect.paint(
                insect.ellipse(middle[0] * squeeze * 1.15, middle[1] * 1.1, 0.05, soft=0.03), pale
            )
        for spot in range(spots):
            share = (spot + 0.5) / spots
            x, y = 1.08 - 0.12 * abs(share - 0.4), -0.9 + 0.7 * share
            insect.paint(insect.ellipse(x * squeeze, y, 0.03, soft=0.02), pale)


def _grown(canvas: Canvas, corners: list[Point]) -> list[Point]:
    """Return a smooth closed outline through slightly displaced corners, a Catmull-Rom spline.

    Source: Catmull and Rom, "A class of local interpolating splines", 1974.
    """
    loose = [
        complex(x + canvas.between(-0.05, 0.05), y + canvas.between(-0.05, 0.05))
        for x, y in corners
    ]
    path = []
    for i in range(len(loose)):
        a, b, c, d = (loose[(i + step) % len(loose)] for step in (-1, 0, 1, 2))
        for t in (0.0, 0.25, 0.5, 0.75):
            point = b + 0.5 * t * (
                c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a))
            )
            path.append((point.real, point.imag))
    return path


def goldfish(canvas: Canvas) -> str:
    """Paint goldfish in a tank."""
    name, top, low = canvas.pick([
        ("blue", "#4fa8d8", "#1a4f80"),
        ("green", "#7fc0a0", "#22604f"),
        ("dark", "#2a4a60", "#0a1420"),
        ("turquoise", "#7fd8d8", "#2a8090"),
    ])  # fmt: skip
    depth = np.broadcast_to(ramp(canvas.y, 0, 1), canvas.rgb.shape[:2])
    canvas.paint(1.0, mix(canvas.vary(top), canvas.vary(low), depth))
    caustics = ramp(np.abs(canvas.noise(4, 5, octaves=3) - 0.5), 0.08, 0.0) * ramp(canvas.y, 0.8, 0)
    canvas.light(caustics, rgb("#ffffff") * np.float32(0.16))
    weeds = canvas.count(0, 9)
    for _ in range(weeds):
        x, tall, sway = (
            canvas.between(0, canvas.width),
            canvas.between(0.3, 0.85),
            canvas.between(1, 6),
        )
        steps = [i / 12 for i in range(13)]
        stalk = [(x + 0.04 * math.sin(s * sway + x * 9), 1 - s * tall) for s in steps]
        canvas.paint(
            canvas.stroke(stalk, canvas.between(0.012, 0.035)) * 0.85, canvas.vary("#3f8a3a", 0.12)
        )
    gravel = canvas.chance(0.7)
    if gravel:
        stones = mix(
            canvas.pick(["#8a7a60", "#a89878", "#5a5a60"]),
            "#e8dcc0",
            canvas.noise(60, 60, octaves=2),
        )
        canvas.paint(ground(canvas, 0.92, 3, 0.06), stones)
    places = canvas.spots(canvas.pick([1, 1, 2, 3, 4]), 0.27)
    fishes = len(places)
    for x, y in places:
        size = canvas.between(0.26, 0.42) if fishes == 1 else canvas.between(0.13, 0.21)
        heading = canvas.between(-0.4, 0.4) + canvas.pick([0.0, math.pi])
        _fish(canvas.at(x, y, size, turn=heading, reach=1.9), -1 if abs(heading) < 1 else 1)
    for _ in range(canvas.count(4, 22)):
        bubble = canvas.at(
            canvas.between(0, canvas.width), canvas.between(0, 0.9), canvas.between(0.008, 0.025)
        )
        rim = ramp(np.abs(np.hypot(bubble.x, bubble.y) - 0.85), 0.25, 0.0)
        bubble.paint(rim * 0.55 + bubble.ellipse(-0.3, -0.3, 0.25) * 0.4, "#e8f8ff")
    plants = counted(weeds, "water weed") + " and gravel" * gravel
    return f"{counted(fishes, 'orange goldfish', 'orange goldfish')} in {name} water with {plants}"


def _fish(fish: Canvas, up: int) -> None:
    """Paint a fish that swims in the +x direction; its back points to `up` (1 or -1) in y."""
    gold = fish.vary(fish.pick(["#f5821e", "#f0641a", "#f8a02a", "#e84a1a"]))
    fin = mix(gold, "#ffd890", 0.45)
    fan = fish.between(0.45, 0.75)
    tail = [
        (-0.75, 0.0),
        (-1.2, -fan * 0.8),
        (-1.6, -fan),
        (-1.3, -0.1),
        (-1.35, 0.1),
        (-1.6, fan),
        (-1.15, fan * 0.7),
    ]
    back = [(0.35, 0.4 * up), (0.1, 0.85 * up), (-0.5, 0.7 * up), (-0.6, 0.25 * up)]
    belly = [(0.15, -0.35 * up), (-0.1, -0.8 * up), (-0.35, -0.7 * up), (-0.3, -0.35 * up)]
    for outline in (tail, back, belly):
        rays = np.sin(np.arctan2(fish.y, fish.x + 0.4) * 40) * 0.5 + 0.5
        fish.paint(
            fish.polygon(_grown(fish, outline)) * 0.9,
            mix(fin, mix(gold, "#a83a08", 0.3), rays * 0.6),
        )
    half = 0.46 * np.clip(1 - np.abs(fish.x - 0.1) ** 2.2, 0, 1) ** 0.75
    body = fish.inside(np.abs(fish.y) - half)
    across = fish.y * up / np.float32(0.46)
    scales = np.sin(fish.x * 34) * np.sin(fish.y * 34) * ramp(fish.x, 0.5, 0.3)
    tone = mix(mix(gold, "#fff0c0", 0.65), mix(gold, "#a8330a", 0.35), ramp(across, -0.9, 0.9))
    fish.paint(body, mix(tone, mix(gold, "#ffe890", 0.6), ramp(scales, 0.2, 1) * 0.5))
    fish.darken(body * ramp(np.abs(np.hypot(fish.x - 0.95, fish.y) - 0.5), 0.035, 0.0), 0.3)
    fish.paint(fish.ellipse(0.72, 0.1 * up, 0.1, soft=0.03), "#fff4d8")
    fish.paint(fish.ellipse(0.74, 0.1 * up, 0.06, soft=0.02), "#140c08")
    fish.light(
        fish.ellipse(0.2, 0.22 * up, 0.4, 0.06, soft=0.12) * body, rgb("#ffffff") * np.float32(0.3)
    )
