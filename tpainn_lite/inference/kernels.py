"""PaiNN's messages pair by pair, compiled by Numba, for `frozen`.

A filter is read from a table: rows of values and slopes (times the grid's step) at
evenly spaced distances up to the cutoff, between which a cubic goes (Hermite). Features
`h` (N, 5, F) of an atom are what its neighbours take from it: to their scalars, along
the line between the two, and three components to their vectors (without these before
the first layer: (N, 2, F)). Messages, and gradients `g` by them, are (N, 4, F): to the
scalars, and three components to the vectors. arXiv 2102.03150, equations 7 and 8. Each
pair i, j is listed once, with r (P, 3) Å from i to j.

Rows lie flat and their length F is a constant to the compiler: twice as fast.
"""

from functools import cache

import numpy as np
from numba import njit

_inlined = njit(inline="always")  # or F would be no constant in it


def _compiled(run, *kind):
    """Compile a kernel, with a cache of its own.

    Numba numbers what one cache holds: two processes that add to it at the same time
    would give two kernels one number, and a later one would run the wrong kernel.
    """
    run.__qualname__ = "_".join(map(str, (run.__qualname__, *kind)))
    return njit(fastmath=True, cache=True, error_model="numpy")(run)


def messages(i, j, r, table, h, cutoff):
    """Sum the messages of all neighbours, (N, 4, F)."""
    n, kinds, F = h.shape
    run = _messages(F, kinds > 2, h.dtype)
    return run(i, j, r, table.ravel(), h.reshape(n, -1), cutoff).reshape(n, 4, F)


def gradients(i, j, r, table, h, cutoff, g):
    """Differentiate ``(g * messages).sum()`` by h and by r (P, 3)."""
    n, kinds, F = h.shape
    flat = h.reshape(n, -1), cutoff, g.reshape(n, -1)
    to_h, to_r = _gradients(F, kinds > 2, h.dtype)(i, j, r, table.ravel(), *flat)
    return to_h.reshape(h.shape), to_r


@cache
def _messages(F: int, vectors: bool, dtype: np.dtype):
    def run(i, j, r, table, h, cutoff):
        out = np.zeros((len(h), 4 * F), h.dtype)
        w, dw = np.empty(3 * F, h.dtype), np.empty(3 * F, h.dtype)
        for p in range(len(i)):
            d, x, y, z = _direction(r[p])
            if d < cutoff:
                _filter(table, d, cutoff, w, dw, F)
                _send(w, h[j[p]], out[i[p]], x, y, z, F, vectors)
                _send(w, h[i[p]], out[j[p]], -x, -y, -z, F, vectors)
        return out

    return _compiled(run, F, vectors, dtype)


@cache
def _gradients(F: int, vectors: bool, dtype: np.dtype):
    def run(i, j, r, table, h, cutoff, g):
        to_h, to_r = np.zeros_like(h), np.zeros_like(r)
        w, dw = np.empty(3 * F, h.dtype), np.empty(3 * F, h.dtype)
        for p in range(len(i)):
            a, b, (d, x, y, z) = i[p], j[p], _direction(r[p])
            if d < cutoff:
                _filter(table, d, cutoff, w, dw, F)
                _send_back(w, g[a], to_h[b], x, y, z, F, vectors)
                _send_back(w, g[b], to_h[a], -x, -y, -z, F, vectors)
                ends = g[a], g[b], h[a], h[b]
                along, u, v, q = _turn(w, dw, ends, x, y, z, F, vectors)
                along -= (u * x + v * y + q * z) / d
                to_r[p, 0] = along * x + u / d
                to_r[p, 1] = along * y + v / d
                to_r[p, 2] = along * z + q / d
        return to_h, to_r

    return _compiled(run, F, vectors, dtype)


@_inlined
def _direction(r):
    d = np.sqrt(r[0] * r[0] + r[1] * r[1] + r[2] * r[2])
    return d, r[0] / d, r[1] / d, r[2] / d


@_inlined
def _filter(table, d, cutoff, w, dw, F):
    """Write the filter at a distance to w, its derivative to dw."""
    # constants have the type of the table: integers would make all double, and slow
    one, intervals = table.dtype.type(1), len(table) // (6 * F) - 1
    place = d / cutoff * intervals
    k = min(int(place), intervals - 1)
    t = table.dtype.type(place - k)
    s, per = one - t, table.dtype.type(intervals / cutoff)
    a, b, c, e = s * s * (s + t + t + t), s * s * t, t * t * (t + s + s + s), -t * t * s
    slope = (s * t + s * t + s * t) * (per + per)
    at, to = s * (s - t - t) * per, t * (t - s - s) * per
    rows = table[6 * F * k : 6 * F * (k + 2)]  # values, slopes; of the next, too
    for f in range(3 * F):
        v0, m0, v1, m1 = rows[f], rows[3 * F + f], rows[6 * F + f], rows[9 * F + f]
        w[f] = a * v0 + b * m0 + c * v1 + e * m1
        dw[f] = slope * (v1 - v0) + at * m0 + to * m1


@_inlined
def _send(w, h, out, x, y, z, F, vectors):
    """Add the message from one atom of a pair to the other."""
    for f in range(F):
        along = w[F + f] * h[F + f]
        out[f] += w[f] * h[f]
        out[F + f] += x * along
        out[2 * F + f] += y * along
        out[3 * F + f] += z * along
        if vectors:
            out[F + f] += w[2 * F + f] * h[2 * F + f]
            out[2 * F + f] += w[2 * F + f] * h[3 * F + f]
            out[3 * F + f] += w[2 * F + f] * h[4 * F + f]


@_inlined
def _send_back(w, g, to_h, x, y, z, F, vectors):
    """Add the gradient of what was sent, by what it was made of."""
    for f in range(F):
        g1, g2, g3 = g[F + f], g[2 * F + f], g[3 * F + f]
        to_h[f] += w[f] * g[f]
        to_h[F + f] += w[F + f] * (x * g1 + y * g2 + z * g3)
        if vectors:
            to_h[2 * F + f] += w[2 * F + f] * g1
            to_h[3 * F + f] += w[2 * F + f] * g2
            to_h[4 * F + f] += w[2 * F + f] * g3


@_inlined
def _turn(w, dw, ends, x, y, z, F, vectors):
    """Differentiate by distance, and by the three components of the direction."""
    ga, gb, ha, hb = ends
    along = u = v = q = w.dtype.type(0)
    for f in range(F):
        along += dw[f] * (ga[f] * hb[f] + gb[f] * ha[f])
        p1 = ga[F + f] * hb[F + f] - gb[F + f] * ha[F + f]
        p2 = ga[2 * F + f] * hb[F + f] - gb[2 * F + f] * ha[F + f]
        p3 = ga[3 * F + f] * hb[F + f] - gb[3 * F + f] * ha[F + f]
        along += dw[F + f] * (x * p1 + y * p2 + z * p3)
        u += w[F + f] * p1
        v += w[F + f] * p2
        q += w[F + f] * p3
        if vectors:
            both = ga[F + f] * hb[2 * F + f] + gb[F + f] * ha[2 * F + f]
            both += ga[2 * F + f] * hb[3 * F + f] + gb[2 * F + f] * ha[3 * F + f]
            both += ga[3 * F + f] * hb[4 * F + f] + gb[3 * F + f] * ha[4 * F + f]
            along += dw[2 * F + f] * both
    return along, u, v, q
