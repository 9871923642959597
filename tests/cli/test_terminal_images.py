"""Pictures in terminals: decoded again from the bytes, and image by a command in a terminal."""

import base64
import io
import os
import re
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from imgsearch.cli.terminal_images import detect, encoded
from tests.conftest import ENVIRONMENT
from tests.pictures import picture, write


@pytest.mark.parametrize(
    ("variables", "protocol"),
    [
        ({"TERM": "xterm-kitty"}, "kitty"),
        ({"TERM": "xterm-256color", "KITTY_WINDOW_ID": "1"}, "kitty"),
        ({"TERM": "xterm-ghostty", "TERM_PROGRAM": "ghostty"}, "kitty"),
        ({"TERM": "xterm-256color", "KONSOLE_VERSION": "240802"}, "kitty"),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "iTerm.app"}, "iterm2"),
        ({"TERM": "xterm-256color", "LC_TERMINAL": "iTerm2"}, "iterm2"),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "WezTerm"}, "iterm2"),
        ({"TERM": "foot"}, "sixel"),
        ({"TERM": "xterm-sixel"}, "sixel"),
        ({"TERM": "xterm-256color"}, None),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "vscode"}, None),
        ({"TERM": "tmux-256color", "TERM_PROGRAM": "tmux", "KITTY_WINDOW_ID": "1"}, None),
        ({"TERM": "screen", "LC_TERMINAL": "iTerm2"}, None),
        ({"TERM": "dumb"}, None),
        ({}, None),
    ],
)
def test_protocol_is_known_by_the_environment(variables, protocol):
    assert detect(variables) == protocol


def of_kitty(data):
    """Return the keys of the first command, and the image."""
    commands = re.findall(rb"\x1b_G([^;]*);([^\x1b]*)\x1b\\", data)
    assert b"".join(b"\x1b_G%b;%b\x1b\\" % command for command in commands) + b"\n" == data
    assert [keys.rpartition(b"m=")[2] for keys, _ in commands] == [b"1"] * (len(commands) - 1) + [
        b"0"
    ]
    assert all(len(part) <= 4_096 and len(part) % 4 == 0 for _, part in commands)
    png = base64.b64decode(b"".join(part for _, part in commands), validate=True)
    return commands[0][0], Image.open(io.BytesIO(png), formats=["PNG"])


def of_sixel(data):
    """Return the pixels that a terminal draws, uint8 (h, w, 3)."""
    width, height, body = re.fullmatch(
        rb'\x1bP0;1;0q"1;1;(\d+);(\d+)(.*)\x1b\\\n', data, re.DOTALL
    ).groups()
    pixels = np.zeros((int(height) + 6, int(width), 3), np.uint8)
    colors, color, top, left = {}, 0, 0, 0
    for token in re.finditer(rb"#(\d+)(?:;2;(\d+);(\d+);(\d+))?|!(\d+)(.)|([-$])|([?-~])", body):
        name, *rgb, count, repeated, move, once = token.groups()
        if name is not None:
            color = int(name)
            if rgb[0] is not None:
                colors[color] = [round(int(part) * 2.55) for part in rgb]
        elif move is not None:
            left = 0
            top += 6 * (move == b"-")
        else:
            bits, number = (repeated or once)[0] - 63, int(count or 1)
            for row in range(6):
                if bits >> row & 1:
                    pixels[top + row, left : left + number] = colors[color]
            left += number
    return pixels[: int(height)]


def test_bytes_hold_the_picture():
    image = Image.fromarray(picture(3, (330, 100)))
    keys, decoded = of_kitty(encoded(image, "kitty", columns=80))
    assert (keys, decoded.size) == (b"a=T,f=100,q=2,c=42,m=1", (330, 100))  # 330 / 8 = 41.25
    np.testing.assert_array_equal(np.asarray(decoded), np.asarray(image))
    data = encoded(image, "iterm2", columns=20)
    keys, png = re.fullmatch(rb"\x1b\]1337;File=([^:]*):([^\x07]*)\x07\n", data).groups()
    png = base64.b64decode(png, validate=True)
    assert keys.decode() == f"inline=1;size={len(png)};width=20;preserveAspectRatio=1"
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(png))), np.asarray(image))


def test_sixels_draw_the_picture_with_256_colors():
    image = Image.fromarray(picture(3, (50, 20)))
    drawn = of_sixel(encoded(image, "sixel", columns=80)).astype(int)
    assert drawn.shape == (20, 50, 3)
    assert np.abs(drawn - np.asarray(image)).mean() < 8
    assert of_sixel(encoded(image, "sixel", columns=2)).shape == (6, 16, 3)
    plain = Image.new("RGB", (9, 7), (255, 0, 102))
    np.testing.assert_array_equal(of_sixel(encoded(plain, "sixel", columns=9)), np.asarray(plain))


def in_terminal(*words, folder, **variables):
    """Return the bytes that a command writes to a terminal."""
    pty = pytest.importorskip("pty")  # POSIX
    ours, theirs = pty.openpty()
    environment = {**ENVIRONMENT, "PYTHONPATH": ":".join(sys.path), **variables}
    command = [sys.executable, "-m", "imgsearch", *words]
    with subprocess.Popen(
        command, cwd=folder, stdin=theirs, stdout=theirs, stderr=subprocess.PIPE, env=environment
    ) as process:
        os.close(theirs)
        data = b""
        try:
            while part := os.read(ours, 65_536):
                data += part
        except OSError:  # Linux: the terminal is closed
            pass
        errors = process.stderr.read().decode()
    os.close(ours)
    assert process.returncode == 0, errors
    return data.replace(b"\r\n", b"\n"), errors


@pytest.mark.long
def test_search_shows_pictures_in_a_terminal(run, tmp_path):
    (file, *_) = write(tmp_path / "größe", 3)
    db = tmp_path / "a.db"
    run("add", tmp_path / "größe", "--db", db, "--model", "classic")
    words = ("search", str(file), "--db", str(db), "-k", "2")
    data, _ = in_terminal(*words, folder=tmp_path, TERM="xterm-kitty")
    pictures, _, text = data.rpartition(b"\x1b\\\n")
    _, sheet = of_kitty(pictures + b"\x1b\\\n")
    assert sheet.size == (2 * 136 + 8, 152 + 8)  # two cells of 128 + 8 and 128 + 16 + 8 pixels
    assert file.name.encode() in text
    data, errors = in_terminal(*words, "--preview", folder=tmp_path, TERM="xterm")
    assert (b"\x1b_G" in data, "states no way to show pictures" in errors) == (False, True)
    assert b"\x1b_G" not in run(*words, "--preview").stdout_bytes  # no terminal
