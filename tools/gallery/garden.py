"""Painters of garden classes: flowers, mushrooms and ladybirds."""

import math

import numpy as np

from tools.gallery.canvas import Array, Canvas, mix, ramp, rgb
from tools.gallery.caption import counted
from tools.gallery.sky import DAYLIGHT, sky


def backdrop(canvas: Canvas, colors: list[str]) -> None:
    """Cover the canvas with an out-of-focus garden: large soft spots in the given colors."""
    base = canvas.vary(canvas.pick(colors))
    canvas.paint(1.0, mix(mix(base, "#0a140a", 0.35), base, canvas.noise(3, 3, octaves=2)))
    for _ in range(canvas.count(8, 22)):
        x, y = canvas.between(0, canvas.width), canvas.between(0, 1)
        spot = canvas.at(x, y, canvas.between(0.04, 0.16))
        spot.paint(spot.ellipse(0, 0, 1, soft=0.5) * 0.45, canvas.vary(canvas.pick(colors), 0.12))


def leaf(canvas: Canvas, x: float, y: float, long: float, *, turn: float, green: str) -> None:
    """Paint a leaf with its stalk at (x, y), pointing in the direction `turn` in radians."""
    blade = canvas.at(x, y, long, turn=turn, reach=1.1)
    half = 0.34 * np.sin(np.clip(blade.x, 0, 1) ** 0.8 * np.float32(3.14)) ** 0.8
    shape = blade.inside(np.abs(blade.y) - half) * (blade.x > 0)
    veins = np.abs(np.sin((blade.x - np.abs(blade.y) * 0.9) * 26))
    blade.paint(
        shape, mix(canvas.vary(green), mix(green, "#e0f0a0", 0.35), ramp(blade.y, 0.25, -0.3))
    )
    blade.darken(shape * ramp(veins, 0.25, 0.0), 0.18)
    blade.paint(shape * blade.inside(np.abs(blade.y) - 0.012) * 0.6, "#d8e8a8")


def petals(
    flower: Canvas, number: int, *, inner: float, sharp: float, phase: float
) -> tuple[Array, Array]:
    """Return a wheel of petals with radius 1: its mask, and each pixel's position in a petal.

    The position is 0 on a petal's middle line and 1 at its edges.
    """
    angle, reach = np.arctan2(flower.y, flower.x) + np.float32(phase), np.hypot(flower.x, flower.y)
    turn = angle * number / (2 * math.pi)
    across = np.abs(turn - np.round(turn)) * 2
    own = 1 + 0.12 * np.sin(np.round(turn) % number * 12.9 + phase * 7)
    rim = inner + (0.88 * own - inner) * (1 - across**2) ** sharp
    return flower.inside(reach - rim), across


def sunflower(canvas: Canvas) -> str:
    """Paint one to four sunflowers against the sky or a garden."""
    outdoors = canvas.chance(0.55)
    if outdoors:
        sky(canvas, canvas.pick(DAYLIGHT))
    else:
        backdrop(canvas, ["#3f6a2a", "#6a8f3a", "#2a4a22", "#8a9a4a"])
    places = canvas.spots(canvas.pick([1, 1, 1, 2, 3, 4]), 0.3)
    heads = len(places)
    for x, y in places:
        size = canvas.between(0.3, 0.5) if heads == 1 else canvas.between(0.16, 0.24)
        canvas.paint(canvas.stroke([(x, y), (x + 0.02, 1.3)], size * 0.13), canvas.vary("#4f7a2f"))
        for side in (0.4, 2.7):
            leaf(canvas, x, min(y + size * 1.3, 0.95), size, turn=side, green="#4a8030")
        _sunflower_head(canvas.at(x, y, size, turn=canvas.between(0, 6), reach=1.1))
    setting = "the sky" if outdoors else "a green garden"
    return f"{counted(heads, 'yellow sunflower')} against {setting}"


def _sunflower_head(head: Canvas) -> None:
    """Paint two wheels of petals and a dark middle with seeds in spirals."""
    head.x = head.x / np.float32(head.between(0.72, 1.0))
    number, gold = head.count(16, 26), head.vary(head.pick(["#f6c21c", "#f2ae14", "#fad53a"]))
    for wheel, shade in ((0.0, 0.25), (math.pi / number, 0.0)):
        mask, across = petals(head, number, inner=0.4, sharp=0.7, phase=wheel)
        reach = np.hypot(head.x, head.y)
        tone = mix(mix(gold, "#a85a08", shade), mix(gold, "#c4700a", 0.55 + shade / 2), across**2)
        head.paint(mask, mix(mix(tone, "#b05a08", 0.5), tone, ramp(reach, 0.35, 0.75)))
    reach, angle = np.hypot(head.x, head.y), np.arctan2(head.y, head.x)
    disc = head.inside(reach - 0.42, soft=0.05)
    seeds = np.sin(angle * 21 + reach * 40) * np.sin(angle * 13 - reach * 40)
    brown = mix("#2a160a", "#7a4a1a", ramp(reach, 0.05, 0.42))
    head.paint(disc, mix(brown, "#b0803a", ramp(seeds, 0.1, 0.9) * 0.5))


def daisy_meadow(canvas: Canvas) -> str:
    """Paint a meadow full of daisies, seen from above or along the grass."""
    above, green = canvas.chance(0.4), canvas.pick(["#4a7f2c", "#6a9a3a", "#3a6a30", "#7a9a48"])
    horizon = 0.0 if above else canvas.between(0.12, 0.4)
    sky(canvas, canvas.pick(DAYLIGHT), horizon=horizon + 0.1)
    blades = canvas.noise(70, 14, octaves=3)
    grass = mix(mix(green, "#142a10", 0.6), mix(green, "#d8e890", 0.35), blades)
    canvas.paint(canvas.inside(horizon - canvas.y, soft=0.02), grass)
    daisies = canvas.count(12, 26) if above else canvas.count(25, 60)
    big = canvas.between(0.06, 0.12)
    for y in sorted(canvas.between(horizon + 0.02, 1.0) for _ in range(daisies)):
        near = 1.0 if above else 0.12 + 0.88 * (y - horizon) / (1 - horizon)
        daisy = canvas.at(canvas.between(0, canvas.width), y, big * near * canvas.between(0.8, 1.2))
        _daisy(daisy, 1.0 if above else canvas.between(0.5, 0.9))
    return f"{daisies} white daisies in a green meadow{' from above' if above else ''}"


def _daisy(daisy: Canvas, flat: float) -> None:
    """Paint a daisy foreshortened to the share `flat` of its height."""
    daisy.darken(daisy.ellipse(0.1, 0.25, 1, flat, soft=0.4), 0.45)
    daisy.y = daisy.y / np.float32(flat)
    mask, across = petals(
        daisy, daisy.count(11, 17), inner=0.25, sharp=0.5, phase=daisy.between(0, 6)
    )
    daisy.paint(mask, mix("#ffffff", "#b9bccb", across**2))
    ball = ramp(daisy.x + daisy.y, -0.4, 0.4)
    daisy.paint(daisy.ellipse(0, 0, 0.3, soft=0.08), mix("#ffdc3f", "#d08a10", ball))


def mushroom(canvas: Canvas) -> str:
    """Paint toadstools with white spots on a forest floor."""
    backdrop(canvas, ["#4f6a2f", "#7a6a3a", "#3f5a34", "#a08a4a"])
    floor = canvas.between(0.72, 0.88)
    moss = mix(
        "#2a3a14", canvas.pick(["#6a7f2a", "#7a5a2c", "#4f7a34"]), canvas.noise(30, 30, octaves=4)
    )
    rough = canvas.outline(9, octaves=5) * np.float32(0.08)
    canvas.paint(canvas.inside(floor - rough - canvas.y, soft=0.02), moss)
    name, cap = canvas.pick(
        [("red", "#c2231c"), ("red", "#d43a20"), ("orange", "#d9722a"), ("brown", "#8a5630")]
    )
    number = canvas.pick([1, 1, 2, 3])
    for place in range(number):
        size = canvas.between(0.28, 0.42) if number == 1 else canvas.between(0.15, 0.24)
        x = 0.25 + (canvas.width - 0.5) * (place + canvas.between(0.2, 0.8)) / number
        foot = floor + canvas.between(0, 0.08)
        _toadstool(
            canvas.at(x, foot - size, size, turn=canvas.between(-0.15, 0.15), reach=1.6), cap
        )
    canvas.paint(ramp(canvas.noise(50, 12), 0.5, 0.7) * ramp(canvas.y, floor + 0.04, 1) * 0.8, moss)
    return f"{counted(number, f'{name} mushroom')} with white spots on a forest floor"


def _toadstool(plant: Canvas, cap: str) -> None:
    """Paint a toadstool with the cap's rim at y = 0 and the foot at y = 1."""
    thick, tall = plant.between(0.14, 0.24), plant.between(0.55, 0.9)
    stem = plant.inside(
        np.maximum(
            np.abs(plant.x) - thick * (0.85 + 0.4 * np.clip(plant.y, 0, 1) ** 3), plant.y - 1.05
        )
    )
    stem = stem * (plant.y > -0.1)
    plant.paint(stem, mix("#f6f0e0", "#9a8a70", ramp(plant.x, -0.12, 0.25)))
    plant.paint(stem * ramp(plant.y, 0.35, 0.0) * 0.6, "#4a3a28")
    skirt = plant.ellipse(0, 0.3, thick * 1.5, 0.07)
    plant.paint(skirt, "#ece2cc")
    rim = 0.12
    above = np.hypot(plant.x, plant.y / tall) - 1
    below = np.hypot(plant.x, plant.y / rim) - 1
    dome = plant.inside(np.where(plant.y < 0, above * tall, below * rim))
    light = ramp(np.hypot(plant.x + 0.35, plant.y + tall * 0.6), 0.0, 1.3)
    plant.paint(dome, mix(mix(cap, "#ffd0a0", 0.4), mix(cap, "#1a0808", 0.55), light))
    for _ in range(plant.count(9, 18)):
        angle, out = plant.between(math.pi, 2 * math.pi), plant.between(0.0, 0.95)
        x, y = math.cos(angle) * out, math.sin(angle) * out * tall * 0.9
        size = plant.between(0.05, 0.11)
        plant.paint(
            plant.ellipse(x, y, size * (1.1 - 0.6 * abs(x)), size * 0.75, soft=0.03) * dome,
            "#fbf6ea",
        )


def ladybird(canvas: Canvas) -> str:
    """Paint ladybirds on a leaf."""
    green = canvas.pick(["#3f8a2f", "#6aa53a", "#2f6a3a", "#8ab04a"])
    backdrop(canvas, [green, "#2a4a22", "#9ab86a"])
    blade = canvas.at(
        canvas.width / 2,
        0.5,
        canvas.between(0.8, 1.3),
        turn=canvas.between(-0.7, 0.7),
        reach=math.inf,
    )
    surface = blade.inside(
        np.abs(blade.y + 0.12 * np.sin(blade.x * 2.2)) - canvas.between(0.3, 0.5), soft=0.015
    )
    ribs = np.abs(np.sin((blade.x - np.abs(blade.y) * 0.8) * canvas.between(8, 16)))
    cells = canvas.noise(70, 70, octaves=2)
    canvas.paint(
        surface,
        mix(
            mix(green, "#143010", 0.35),
            mix(green, "#e8f8a0", 0.3),
            cells * 0.4 + ramp(blade.y, 0.4, -0.5) * 0.6,
        ),
    )
    canvas.paint(surface * ramp(ribs, 0.12, 0) * 0.35, "#dcecb0")
    canvas.paint(surface * blade.inside(np.abs(blade.y) - 0.012) * 0.6, "#dcecb0")
    places = canvas.spots(canvas.pick([1, 1, 1, 2]), 0.36, margin=0.3)
    beetles = len(places)
    name, shell = canvas.pick(
        [("red", "#c81e16"), ("red", "#d8321c"), ("orange", "#e2701c"), ("yellow", "#e8b422")]
    )
    spots = canvas.pick([2, 7, 7, 11])
    for x, y in places:
        size = canvas.between(0.14, 0.3) if beetles == 1 else canvas.between(0.09, 0.15)
        _beetle(canvas.at(x, y, size, turn=canvas.between(0, 6.3), reach=1.7), shell, spots)
    return f"{counted(beetles, f'{name} ladybird')} with {spots} black spots on a green leaf"


def _beetle(bug: Canvas, shell: str, spots: int) -> None:
    """Paint a ladybird that walks along the x axis."""
    bug.darken(bug.ellipse(0.05, 0.15, 1.15, 1.0, soft=0.4), 0.5)
    for side in (-1, 1):
        for hip, foot in ((0.55, 0.95), (0.0, 0.05), (-0.5, -0.8)):
            bug.paint(
                bug.stroke(
                    [(hip, side * 0.6), (foot, side * 1.05), (foot + 0.12, side * 1.15)], 0.08
                ),
                "#15100e",
            )
        bug.paint(bug.stroke([(1.1, side * 0.15), (1.4, side * 0.35)], 0.04), "#15100e")
    bug.paint(bug.ellipse(0.92, 0, 0.34, 0.5), "#15100e")
    for side in (-1, 1):
        bug.paint(bug.ellipse(0.92, side * 0.32, 0.12, 0.11, soft=0.03), "#f4f0e4")
    body = bug.ellipse(-0.05, 0, 1.0, 0.86)
    dome = np.hypot(bug.x + 0.05, bug.y / 0.86)
    bug.paint(body, mix(shell, "#2a0505", ramp(dome, 0.45, 1.05) * 0.8))
    rows = {2: [(-0.05, 0.42)], 7: [(0.5, 0.42), (-0.05, 0.55), (-0.55, 0.35)]}
    many = [(0.55, 0.4), (0.2, 0.3), (0.05, 0.66), (-0.35, 0.3), (-0.5, 0.56)]
    for x, y in rows.get(spots, many):
        for side in (-1, 1):
            bug.paint(bug.ellipse(x, side * y, 0.15, 0.14, soft=0.03) * body, "#120c0c")
    if spots % 2:
        bug.paint(bug.ellipse(0.78, 0, 0.15, 0.14, soft=0.03) * body, "#120c0c")
    bug.paint(bug.inside(np.abs(bug.y) - 0.015) * body, "#200808")
    shine = bug.pick([0.35, -0.35])
    bug.light(
        bug.ellipse(0.3, shine, 0.22, 0.1, soft=0.2) * body, rgb("#ffffff") * np.float32(0.55)
    )
