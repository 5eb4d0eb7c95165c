"""Inputs for bench/accuracy.py: usage: make_data.py DIR (see get_models.sh). Deterministic, no downloads.

Pages and lines of text are drawn with whatever DejaVu or other TrueType fonts the system has, over plain paper and over
scikit-learn's two photographs (one for calibration, one for evaluation). Notes are sums of decaying harmonics."""
import glob
import os
import sys

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont
from sklearn.datasets import load_sample_images

TEXT = {
    "calib": "the licence grants each recipient the right to copy distribute and modify the work provided that the notice "
    "stays intact 2007 section 4 source code object code propagate convey user product installation information".split(),
    "eval": "quick rivers carry 1839 silver barges past the mill where Anna Keller sold bread flour and salt for seven marks "
    "a sack until the bridge fell in the winter of the great flood No 12 Harbour Street".split(),
}
COUNT = {"calib": 32, "eval": 64}


def fonts():
    found = sorted(glob.glob("/usr/share/fonts/truetype/*/*.ttf"))
    found = [f for f in found if any(w in os.path.basename(f) for w in ("Sans", "Serif", "Mono"))][:12]
    if not found:
        sys.exit("no TrueType fonts: apt-get install fonts-dejavu-core")
    return found


def phrase(part, r, low, high):
    words = TEXT[part]
    n = int(r.integers(low, high))
    at = int(r.integers(0, len(words) - n))
    return " ".join(words[at : at + n])


def line(part, r, faces):
    """One line of text, 48 x 192, upside down in every second sample (the classifier's task)."""
    font = ImageFont.truetype(faces[int(r.integers(len(faces)))], 34)
    text = phrase(part, r, 1, 4)
    left, top, right, bottom = font.getbbox(text)
    paper = int(r.integers(160, 256))
    image = Image.new("RGB", (right - left + 12, 48), (paper,) * 3)
    ImageDraw.Draw(image).text((6 - left, 2), text, font=font, fill=(int(r.integers(0, 90)),) * 3)
    if r.random() < 0.3:
        image = image.filter(ImageFilter.GaussianBlur(float(r.uniform(0.3, 1.0))))
    width = min(192, image.width)
    pixels = np.asarray(image.resize((width, 48)), np.float32)
    pixels += r.normal(0, r.uniform(1, 8), pixels.shape)
    out = np.full((48, 192, 3), 127.0, np.float32)
    out[:, :width] = pixels
    return out


def page(part, r, faces, photo, size):
    height, width = size
    image = Image.fromarray(photo).resize((width, height)) if r.random() < 0.4 else Image.new("RGB", (width, height), (int(r.integers(200, 256)),) * 3)
    draw = ImageDraw.Draw(image)
    y = int(r.integers(8, 40))
    while y < height - 50:
        font = ImageFont.truetype(faces[int(r.integers(len(faces)))], int(r.integers(13, 38)))
        text, x = phrase(part, r, 2, 7), int(r.integers(4, width // 3))
        box = draw.textbbox((x, y), text, font=font)
        if r.random() < 0.6:
            draw.rectangle([box[0] - 3, box[1] - 3, box[2] + 3, box[3] + 3], fill=(int(r.integers(200, 256)),) * 3)
        draw.text((x, y), text, font=font, fill=(int(r.integers(0, 100)),) * 3)
        y = box[3] + int(r.integers(5, 40))
    return np.asarray(image, np.float32)[:, :, ::-1]


def notes(r, seconds=2, rate=22050):
    t = np.arange(seconds * rate) / rate
    sound = np.zeros_like(t)
    for _ in range(int(r.integers(4, 12))):
        start, f = r.uniform(0, seconds), 440 * 2 ** ((r.integers(36, 84) - 69) / 12)
        local = np.clip(t - start, 0, None)
        envelope = (local > 0) * np.exp(-local * r.uniform(1, 6))
        for k in range(1, 7):
            if f * k < rate / 2:
                sound += envelope * np.sin(2 * np.pi * f * k * local) * r.uniform(0.2, 1) / k
    sound = sound / max(1e-9, np.abs(sound).max()) * r.uniform(0.2, 0.9) + r.normal(0, 10 ** r.uniform(-4, -2.3), t.size)
    return sound.astype(np.float32)


def normalised(pixels):
    return np.ascontiguousarray(((pixels / 255 - 0.5) / 0.5).transpose(2, 0, 1)[None], np.float32)


def write(folder, part, i, **arrays):
    os.makedirs(f"{folder}/{part}", exist_ok=True)
    np.savez(f"{folder}/{part}/{i:03d}.npz", **arrays)


def main(folder):
    faces, photos = fonts(), load_sample_images().images
    sizes = [(480, 640), (640, 480), (544, 736), (416, 608)]
    for p, part in enumerate(("calib", "eval")):
        r = np.random.default_rng(20 + p)
        for i in range(COUNT[part]):
            pixels = line(part, r, faces)
            write(f"{folder}/ocr_cls", part, i, x=normalised(pixels[::-1, ::-1] if i % 2 else pixels), _label=np.array([i % 2]))
            write(f"{folder}/ocr_det", part, i, x=normalised(page(part, r, faces, photos[p], sizes[i % 4])))
            write(f"{folder}/basic_pitch", part, i, **{"serving_default_input_2:0": notes(r)[:43844][None, :, None]})


def more_lines(folder, count, batch=50):
    """Further evaluation inputs of ocr_cls, in batches."""
    faces, r = fonts(), np.random.default_rng(99)
    for b in range(count // batch):
        lines = [line("eval", r, faces) for _ in range(batch)]
        x = np.concatenate([normalised(p[::-1, ::-1] if i % 2 else p) for i, p in enumerate(lines)])
        write(folder, "eval", b, x=x, _label=np.arange(batch) % 2)


if __name__ == "__main__":
    main(os.path.abspath(sys.argv[1]))
