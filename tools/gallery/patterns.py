"""Painters of surface classes: walls, wood and fur."""

import math

import numpy as np

from tools.gallery.canvas import Array, Canvas, mix, ramp, rgb
from tools.gallery.caption import counted, one


def _slanted(canvas: Canvas, low: float, high: float, *, turn: float) -> Canvas:
    """Return a window on all pixels with a random unit and tilt."""
    scale, tilt = canvas.between(low, high), canvas.between(-turn, turn)
    return canvas.at(canvas.width / 2, 0.5, scale, turn=tilt, reach=math.inf)


def _lit(canvas: Canvas) -> None:
    """Add soft light to the picture, from one side or through leaves."""
    glow = canvas.glow(
        canvas.between(0, canvas.width), canvas.between(0, 1), canvas.between(0.5, 1.2)
    )
    canvas.rgb *= (0.7 + 0.45 * glow)[..., None]
    if canvas.chance(0.25):
        canvas.darken(ramp(canvas.noise(4, 4, octaves=3), 0.45, 0.6), canvas.between(0.2, 0.45))


def brick_wall(canvas: Canvas) -> str:
    """Paint bricks in a running bond."""
    name, brick, joint = canvas.pick([
        ("red", "#a04632", "#c9bfb0"),
        ("brown", "#80513a", "#9a8f84"),
        ("orange", "#c4713f", "#d8cfc0"),
        ("yellow", "#c9a468", "#b8ae9c"),
        ("white", "#d9d4cb", "#bdb6aa"),
        ("gray", "#82807e", "#5c5a58"),
    ])  # fmt: skip
    wall = _slanted(canvas, 0.06, 0.16, turn=0.12)
    far = canvas.between(-0.35, 0.35) if canvas.chance(0.5) else 0.0
    shrink = 1 + far * (canvas.x - canvas.width / 2)
    across, down = wall.x * 0.5 / shrink, wall.y / shrink
    row = np.floor(down)
    column = np.floor(across + (row % 2) * 0.5)
    u, v = across + (row % 2) * 0.5 - column, down - row
    kiln = canvas.rng.random((64, 64), np.float32)
    tone = kiln[row.astype(int) % 64, column.astype(int) % 64]
    rough = canvas.noise(60, 60, octaves=3)
    face = mix(mix(brick, "#2a1a14", 0.35), mix(brick, "#f0d8c0", 0.25), tone * 0.7 + rough * 0.3)
    edge = np.minimum(np.minimum(u, 1 - u) * 2, np.minimum(v, 1 - v)) - 0.07 + (rough - 0.5) * 0.06
    mortar = mix(canvas.vary(joint), "#4a443c", canvas.noise(80, 80, octaves=2) * 0.4)
    canvas.paint(1.0, mix(mortar, face, ramp(edge, -0.03, 0.03)))
    canvas.darken(ramp(v, 0.8, 1) * ramp(edge, -0.05, 0.05), 0.3)
    worn = canvas.chance(0.3)
    if worn:
        plaster = mix(canvas.vary("#cfc6b4"), "#8a8070", canvas.noise(9, 9, octaves=5) * 0.5)
        canvas.paint(ramp(canvas.noise(2, 2, octaves=6), 0.58, 0.61), plaster)
    _lit(canvas)
    return f"{one(f'{name} brick wall')}{' with patches of plaster' if worn else ''}"


def wood_grain(canvas: Canvas) -> str:
    """Paint sawn wood: one board, or several side by side."""
    name, pale, dark = canvas.pick([
        ("oak", "#c99f68", "#8a5f34"),
        ("pine", "#e6c48e", "#bd8547"),
        ("walnut", "#7d5638", "#3f2818"),
        ("cherry", "#b96f45", "#7a3b22"),
        ("weathered gray", "#a9a49c", "#6a655f"),
    ])  # fmt: skip
    turn = canvas.pick([0.0, math.pi / 2]) + canvas.between(-0.12, 0.12)
    board = canvas.at(canvas.width / 2, 0.5, canvas.between(0.7, 1.4), turn=turn, reach=math.inf)
    boards = canvas.pick([1, 3, 4, 5, 6])
    pitch = 1.6 / boards
    plank = np.floor(board.y / pitch + 0.37) if boards > 1 else np.zeros_like(board.y)
    jitter = canvas.rng.random(64, np.float32)
    phase = jitter[plank.astype(int) % 64]
    length = board.x + phase * 17
    warp = _along(canvas, length, board.y, phase)
    knots = canvas.count(0, 4)
    rings = board.y * canvas.between(14, 34) + warp * canvas.between(3, 8)
    for _ in range(knots):
        pixel = canvas.count(0, board.x.shape[0] - 1), canvas.count(0, board.x.shape[1] - 1)
        x, y = float(board.x[pixel]), float(board.y[pixel])
        near = np.exp(-(((board.x - x) / 0.16) ** 2) - ((board.y - y) / 0.06) ** 2)
        rings += near * canvas.between(4, 9)
    grain = 0.5 + 0.5 * np.sin(rings * 2)
    fibers = (
        canvas.noise(6, 150, octaves=2)
        if abs(math.sin(turn)) < 0.5
        else canvas.noise(150, 6, octaves=2)
    )
    canvas.paint(1.0, mix(canvas.vary(pale), canvas.vary(dark), grain**2 * 0.65 + fibers * 0.35))
    canvas.rgb *= (0.82 + 0.36 * phase)[..., None]
    if boards > 1:
        gap = np.abs((board.y / pitch + 0.37) % 1 - 0.5)
        canvas.darken(ramp(gap, 0.48, 0.497), 0.8)
    _lit(canvas)
    laid = "one board" if boards == 1 else "boards side by side"
    return f"{name} wood grain, {laid}, with {counted(knots, 'knot')}"


def _along(canvas: Canvas, length: Array, across: Array, phase: Array) -> Array:
    """Return a slow wave along the boards, in [-1, 1]; `phase` shifts it for each board."""
    wave = np.sin(length * canvas.between(1.5, 3) + phase * 20)
    return np.asarray(
        (wave + np.sin(length * 5.1 + across * 6 + phase * 9) * 0.4) / 1.4, np.float32
    )


def zebra_stripes(canvas: Canvas) -> str:
    """Paint a zebra's coat, close up."""
    coat = _slanted(canvas, 0.045, 0.1, turn=0.9)
    bend = canvas.noise(2, 2, octaves=2) * canvas.between(4, 9)
    fork = ramp(canvas.noise(2, 2, octaves=1), 0.4, 0.6) * math.pi
    across = (
        coat.x * 2.2
        + bend
        + fork * canvas.pick([0, 1])
        + np.sin(coat.y * 0.5) * canvas.between(0, 1.5)
    )
    hairs = (canvas.noise(110, 60, octaves=1) - 0.5) * 0.5
    stripe = ramp(np.sin(across) + hairs + canvas.between(-0.25, 0.25), -0.14, 0.14)
    name, pale = canvas.pick([("white", "#f0eee8"), ("cream", "#ece0c6"), ("dusty", "#cdbfa8")])
    dark = canvas.vary(canvas.pick(["#141212", "#241a15", "#1a1a20"]), 0.03)
    canvas.paint(1.0, mix(dark, canvas.vary(pale, 0.03), stripe))
    shadow = canvas.chance(0.4)
    if shadow:
        midway = np.exp(-((np.sin(across) - 0.9) ** 2) / 0.01)
        canvas.paint(midway * 0.45, "#a88a6a")
    swell = canvas.relief(canvas.noise(2, 2, octaves=1), canvas.between(0, 6), 0.25)
    canvas.rgb *= (0.85 + 0.3 * swell)[..., None]
    _lit(canvas)
    return f"black and {name} zebra stripes{' with brown shadow stripes' if shadow else ''}"


def leopard_spots(canvas: Canvas) -> str:
    """Paint a leopard's coat, close up: broken rings on tan."""
    name, fur = canvas.pick(
        [("golden", "#d9a650"), ("tan", "#c99a62"), ("pale", "#dcc49a"), ("orange", "#cf8a3f")]
    )
    blend = canvas.noise(2, 2, octaves=2)
    canvas.paint(1.0, mix(canvas.vary(fur), canvas.vary(mix(fur, "#f4e8d0", 0.6)), blend))
    pitch, turn = canvas.between(0.085, 0.19), canvas.between(0, 3)
    stretch = canvas.between(0.75, 1.0)
    rows, columns = int(1.2 / pitch) + 2, int(canvas.width / pitch) + 3
    for row in range(-1, rows):
        for column in range(-1, columns):
            x = (column + 0.5 * (row % 2) + canvas.between(-0.2, 0.2)) * pitch
            y = (row * 0.9 + canvas.between(-0.18, 0.18)) * pitch
            _rosette(canvas.at(x, y, pitch * canvas.between(0.36, 0.5), turn=turn), stretch, fur)
    hairs = canvas.noise(120, 50, octaves=2)
    canvas.rgb *= (0.86 + 0.28 * hairs)[..., None]
    swell = canvas.relief(canvas.noise(2, 2, octaves=1), canvas.between(0, 6), 0.2)
    canvas.rgb *= (0.95 + 0.25 * swell)[..., None]
    _lit(canvas)
    return f"dark leopard spots on {name} fur"


def _rosette(spot: Canvas, stretch: float, fur: str) -> None:
    """Paint a ring of two to four dark arcs with a darker middle."""
    angle, reach = np.arctan2(spot.y, spot.x), np.hypot(spot.x / stretch, spot.y)
    arcs, phase = spot.count(2, 4), spot.between(0, 6)
    ring = np.abs(reach - 0.72 + 0.1 * np.sin(angle * 3 + phase)) - 0.19
    gaps = 0.75 - np.cos(angle * arcs + phase) * 0.9
    spot.paint(spot.inside(reach - 0.7, soft=0.2) * 0.7, mix(fur, "#7a4a1c", 0.55))
    spot.paint(
        spot.inside(ring - np.minimum(gaps - 0.2, 0) * 0.2, soft=0.12) * ramp(gaps, -0.15, 0.1),
        rgb("#1f140d"),
    )
