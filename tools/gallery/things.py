"""Painters of outdoor object classes: boats, balloons and lighthouses."""

import math

import numpy as np

from tools.gallery.canvas import Canvas, mix, ramp, rgb
from tools.gallery.caption import counted
from tools.gallery.sky import SKY_NAMES, fir, ground, sky

_ANY_SKY = ("clear", "cloudy", "overcast", "morning", "dusky")


def sea(canvas: Canvas, horizon: float) -> None:
    """Paint water below y = `horizon`."""
    far, near = canvas.pick(
        [("#7fb0cc", "#1f5a86"), ("#9fc4c4", "#2a7478"), ("#a8b4bc", "#4a5f70")]
    )
    depth = ramp(canvas.y, horizon, 1.05)
    waves = canvas.noise(4, 34) * 0.6 + canvas.noise(16, 100, octaves=2) * 0.4
    water = mix(
        mix(canvas.vary(far), canvas.vary(near), depth), "#eef6fa", ramp(waves, 0.55, 0.95) * 0.5
    )
    canvas.paint(
        canvas.inside(horizon - canvas.y), mix(water, "#0a2038", ramp(waves, 0.45, 0.1) * 0.4)
    )


def sailing_boat(canvas: Canvas) -> str:
    """Paint sailing boats at sea."""
    kind, horizon = canvas.pick(_ANY_SKY), canvas.between(0.45, 0.75)
    sky(canvas, kind, horizon=horizon)
    if canvas.chance(0.4):
        canvas.paint(
            ground(canvas, horizon + 0.005, 3, 0.1), mix("#7f98a0", "#5a7a60", canvas.between(0, 1))
        )
    sea(canvas, horizon)
    name, cloth = canvas.pick(
        [
            ("white", "#fbfaf4"),
            ("white", "#f4f0e6"),
            ("red", "#c8402f"),
            ("orange", "#e8964a"),
            ("blue", "#3f6ab0"),
        ]
    )
    boats = canvas.pick([1, 1, 1, 2, 3])
    for place in range(boats):
        size = canvas.between(0.28, 0.42) if boats == 1 else canvas.between(0.14, 0.22)
        x = 0.2 + (canvas.width - 0.4) * (place + canvas.between(0.2, 0.8)) / boats
        y = horizon + canvas.between(0.04, 0.16)
        way = canvas.pick([-1, 1])
        boat = canvas.at(x, y, size, turn=canvas.between(-0.12, 0.12), reach=2.2)
        _boat(boat, cloth, way, canvas.pick(["#7a3a22", "#f0ece0", "#22304a", "#a02a22"]))
    fleet = counted(boats, "sailing boat")
    return f"{fleet} with {name} sails on the sea under {SKY_NAMES[kind]}"


def _boat(boat: Canvas, cloth: str, way: int, hull: str) -> None:
    """Paint a sloop with its waterline at y = 0 that heads left (`way` -1) or right (1)."""
    mirror = boat.ellipse(0, 0.3, 0.7, 0.3, soft=0.5) * ramp(boat.noise(3, 26, octaves=2), 0.4, 0.6)
    boat.paint(mirror * 0.45, mix(cloth, "#406080", 0.4))
    tall, belly = boat.between(1.3, 1.8), boat.between(0.05, 0.18)
    main = [(0.04, -tall), (-0.3 - belly, -tall * 0.45), (-0.7, -0.28), (0.04, -0.25)]
    jib = [(0.1, -tall * 0.92), (0.5 + belly / 2, -tall * 0.4), (0.8, -0.2), (0.12, -0.3)]
    for sail, shade in ((main, 0.05), (jib, 0.2)):
        outline = [(x * way, y) for x, y in sail]
        tone = mix(
            mix(cloth, "#30405a", shade), mix(cloth, "#5a6478", 0.45), ramp(boat.x * way, 0.1, -0.7)
        )
        boat.paint(boat.polygon(outline), tone)
    boat.paint(boat.stroke([(0.07 * way, 0), (0.07 * way, -tall - 0.06)], 0.03), "#4a3626")
    deck = [(-0.8 * way, -0.16), (0.95 * way, -0.2), (0.72 * way, 0.06), (-0.66 * way, 0.06)]
    boat.paint(boat.polygon(deck), mix(hull, "#101820", ramp(boat.y, -0.12, 0.1) * 0.5))
    boat.paint(boat.stroke([(-0.8 * way, -0.16), (0.95 * way, -0.2)], 0.025), "#e8e0d0")
    boat.paint(boat.ellipse(0, 0.08, 0.85, 0.04, soft=0.06) * 0.7, "#f0f6f8")


def hot_air_balloon(canvas: Canvas) -> str:
    """Paint striped balloons in the sky."""
    kind, low = canvas.pick(_ANY_SKY), canvas.between(0.82, 1.0)
    sky(canvas, kind, horizon=low)
    for layer in range(2):
        land = canvas.vary(
            mix("#8f9fa8", canvas.pick(["#5f7a3a", "#a8864f", "#4a6a4a"]), 0.4 + layer * 0.5)
        )
        canvas.paint(
            ground(canvas, low + layer * 0.08, 3, 0.12),
            mix(land, "#2a3020", canvas.noise(20, 30) * 0.3),
        )
    places = canvas.spots(canvas.pick([1, 1, 2, 3, 5]), 0.36, margin=0.22)
    balloons = len(places)
    schemes = [
        ("red and yellow", "#d8302a", "#f8d040"), ("blue and white", "#2a5fb8", "#f4f4f0"),
        ("green and orange", "#3a8a4a", "#f09030"), ("purple and pink", "#6a3a9a", "#f0a0c8"),
        ("rainbow", "", ""),
    ]  # fmt: skip
    names = []
    for x, y in places:
        size = canvas.between(0.24, 0.36) if balloons == 1 else canvas.between(0.08, 0.18)
        name, first, second = canvas.pick(schemes)
        names.append(name)
        _balloon(
            canvas.at(x, y * 0.8, size, turn=canvas.between(-0.08, 0.08), reach=2), first, second
        )
    colors = ", ".join(sorted(set(names)))
    return f"{counted(balloons, 'hot-air balloon')} ({colors}) in {SKY_NAMES[kind]}"


def _balloon(ball: Canvas, first: str, second: str) -> None:
    """Paint a balloon of radius 1. If `first` is "", the gores have rainbow colors."""
    taper = np.where(ball.y < 0, 1.0, np.sqrt(np.clip(1 - (ball.y / 1.35) ** 2 * 0.92, 0.0, 1)))
    half = np.where(ball.y < 0, np.sqrt(np.clip(1 - ball.y**2, 0, 1)), taper).astype(np.float32)
    skin = ball.inside(np.maximum(np.abs(ball.x) - half, ball.y - 1.3)) * (ball.y > -1)
    longitude = np.arcsin(np.clip(ball.x / np.maximum(half, 1e-3), -1, 1)) / math.pi + 0.5
    gores = ball.pick([6, 8, 10])
    stripe = np.floor(longitude * gores + ball.between(0, 1))
    if first:
        tone = mix(first, second, (stripe % 2).astype(np.float32))
    else:
        wheel = np.stack(
            [rgb(c) for c in ("#d83030", "#f09030", "#f8e048", "#40a850", "#3868c8", "#7a40a8")]
        )
        tone = wheel[stripe.astype(int) % 6]
    if ball.chance(0.4):
        tone = mix(tone, second or "#f4f0e0", ball.inside(np.abs(ball.y + 0.05) - 0.16))
    round_light = ramp(np.hypot(ball.x + 0.35, ball.y + 0.4), 0.1, 1.5)
    ball.paint(skin, mix(mix(tone, "#ffffff", 0.15), mix(tone, "#101028", 0.55), round_light))
    ball.darken(skin * ramp(np.abs((longitude * gores) % 1 - 0.5), 0.44, 0.5), 0.25)
    for side in (-1, 1):
        ball.paint(ball.stroke([(side * 0.34, 1.28), (side * 0.14, 1.6)], 0.02), "#3a2c20")
    basket = ball.inside(np.maximum(np.abs(ball.x) - 0.17, np.abs(ball.y - 1.7) - 0.12))
    ball.paint(basket, mix("#a8743a", "#4a2c14", ramp(ball.x, -0.15, 0.2)))


def lighthouse(canvas: Canvas) -> str:
    """Paint a striped tower on rocks by the sea."""
    kind, horizon = canvas.pick(_ANY_SKY), canvas.between(0.6, 0.8)
    sky(canvas, kind, horizon=horizon)
    sea(canvas, horizon)
    x, side = canvas.between(0.3, canvas.width - 0.3), canvas.pick([-1, 1])
    foot = horizon + canvas.between(-0.08, 0.04)
    slope = ramp((canvas.x - x) * side, -0.3, 0.05) * (0.25 + 0.08 * canvas.outline(5, octaves=5))
    rock = canvas.inside(foot + 0.26 - slope - canvas.y)
    name, stone = canvas.pick(
        [("gray rocks", "#6a6660"), ("brown rocks", "#6f5844"), ("a grassy cliff", "#5f7a3c")]
    )
    crags = canvas.noise(14, 16, octaves=5)
    lit = ramp(canvas.relief(crags, 0.8, 0.1), -0.6, 0.6)
    canvas.paint(rock, mix(mix(stone, "#14120f", 0.6), mix(stone, "#e8e0d0", 0.3), lit))
    stripe_name, stripe = canvas.pick(
        [("red", "#c22a22"), ("red", "#b8322a"), ("black", "#22242a"), ("blue", "#2a5090")]
    )
    tall, lamp = min(canvas.between(0.2, 0.3), foot / 2.7), kind == "dusky"
    _tower(
        canvas.at(x + side * 0.08, foot - tall + 0.03, tall, reach=1.8),
        stripe,
        canvas.count(2, 4),
        lit=lamp,
    )
    if canvas.chance(0.3):
        fir(canvas, x + side * 0.3, foot + 0.02, canvas.between(0.1, 0.2), "#22382a")
    tower = f"a white and {stripe_name} lighthouse{', its lamp lit,' * lamp}"
    return f"{tower} on {name} by the sea under {SKY_NAMES[kind]}"


def _tower(tower: Canvas, stripe: str, bands: int, *, lit: bool) -> None:
    """Paint a lighthouse from y = 1 up to y = -1.4."""
    half = 0.2 + 0.11 * (tower.y + 1) / 2
    wall = tower.inside(np.maximum(np.abs(tower.x) - half, np.abs(tower.y) - 1))
    banded = np.sin((tower.y + 1) * math.pi * bands) > 0
    round_light = ramp(tower.x / half, -0.7, 1.0)
    coat = mix("#f6f2e8", stripe, banded.astype(np.float32))
    tower.paint(wall, mix(coat, mix(coat, "#101828", 0.6), round_light))
    for y in (-0.45, 0.3):
        tower.paint(tower.ellipse(-0.03, y, 0.045, 0.08), "#20242c")
    gallery = tower.inside(np.maximum(np.abs(tower.x) - 0.29, np.abs(tower.y + 1.02) - 0.035))
    tower.paint(gallery, "#2a2c30")
    room = tower.inside(np.maximum(np.abs(tower.x) - 0.14, np.abs(tower.y + 1.17) - 0.12))
    tower.paint(
        room, mix("#fff2b0" if lit else "#b8d0dc", "#4a5a68", ramp(np.abs(tower.x), 0.04, 0.16))
    )
    tower.paint(
        tower.polygon([(-0.2, -1.29), (0.2, -1.29), (0.0, -1.52)]), mix(stripe, "#20141a", 0.3)
    )
    if lit:
        tower.light(tower.glow(0, -1.17, 0.5), rgb("#ffe8a0") * np.float32(0.6))
