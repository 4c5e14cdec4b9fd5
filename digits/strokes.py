"""From ink to what the network sees: the second half of the way from a photo to 28x28.

Chooses the strokes that belong to the digit, brings them to MNIST's stroke width, and places them as
MNIST was made: 20x20 box, aspect kept, centre of mass at the centre.
"""

import cv2
import numpy as np

from digits.config import IMAGE_SIZE

BOX_SIZE = 20
"""Longer side of a digit in MNIST, in pixels."""
STROKE_WIDTH = 2.6
"""Strokes thinner than this are widened to it, in pixels of the 20x20 box; MNIST's median is 2.5."""
CENTER = 14.0
"""Where MNIST has the centre of mass, as a pixel index along both axes (mean of 6,000 training digits: 14.00, 13.99)."""


def center_of_mass(ink: np.ndarray) -> tuple[float, float]:
    """x and y of the centre of mass, in pixel indices, of ink (H, W) that is not all zero."""
    moments = cv2.moments(ink)
    return moments["m10"] / moments["m00"], moments["m01"] / moments["m00"]


def select_strokes(ink: np.ndarray, box) -> np.ndarray:
    """Keep the digit's own strokes: float32 (h, w) in 0..1 to the same, cut to the strokes."""
    q = (ink * 255).astype(np.uint8)
    t, _ = cv2.threshold(q[box[1] : box[3], box[0] : box[2]], 0, 255, cv2.THRESH_OTSU)
    mask = (q > t * 0.85).astype(np.uint8)
    n, lab, st, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    h, w = ink.shape
    inbox = np.zeros_like(mask)
    inbox[box[1] : box[3], box[0] : box[2]] = 1
    mass = np.bincount(lab.ravel(), weights=(ink * inbox).ravel(), minlength=n)
    mass[0] = 0
    i0 = int(np.argmax(mass))
    x0, y0, w0, h0, a0 = st[i0]
    keep = [i0]
    for i in range(1, n):
        if i == i0:
            continue
        x, y, ww, hh, a = st[i]
        gap = max(x - (x0 + w0), x0 - (x + ww), y - (y0 + h0), y0 - (y + hh), 0)
        if a > 0.04 * a0 and gap < 0.25 * max(h0, w0) and not (x <= 1 or y <= 1 or x + ww >= w - 1 or y + hh >= h - 1):
            keep.append(i)
    m2 = np.isin(lab, keep).astype(np.uint8)
    x, y, ww, hh = cv2.boundingRect(m2)
    m2 = cv2.dilate(m2, np.ones((3, 3), np.uint8))
    soft = np.where(m2 > 0, ink, 0)
    soft = np.clip(soft / np.percentile(soft[m2 > 0], 80), 0, 1)
    return soft[y : y + hh, x : x + ww]


def draw_as_mnist(c: np.ndarray) -> np.ndarray:
    """Strokes, float32 (h, w) in 0..1, to uint8 (28, 28)."""
    L = max(c.shape)
    dt = cv2.distanceTransform((c > 0.4).astype("uint8"), cv2.DIST_L2, 3)
    sw = 2 * np.percentile(dt[dt > 0], 90) if (dt > 0).any() else 1
    target = STROKE_WIDTH / BOX_SIZE * L
    if sw < target:
        r = int(round((target - sw) / 2))
        if r > 0:
            c = cv2.copyMakeBorder(c, r, r, r, r, cv2.BORDER_CONSTANT)
            c = cv2.dilate(c, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * r + 1, 2 * r + 1)))
    L = max(c.shape)
    sc = BOX_SIZE / L
    c = cv2.resize(c, (max(1, round(c.shape[1] * sc)), max(1, round(c.shape[0] * sc))), interpolation=cv2.INTER_AREA)
    c = np.clip(c * 1.15, 0, 1).astype(np.float32)
    out = np.zeros((IMAGE_SIZE, IMAGE_SIZE), "float32")
    oy = (IMAGE_SIZE - c.shape[0]) // 2
    ox = (IMAGE_SIZE - c.shape[1]) // 2
    out[oy : oy + c.shape[0], ox : ox + c.shape[1]] = c
    x, y = center_of_mass(out)
    out = cv2.warpAffine(out, np.float32([[1, 0, CENTER - x], [0, 1, CENTER - y]]), (IMAGE_SIZE, IMAGE_SIZE))
    return (out * 255).astype(np.uint8)
