"""PaiNN's messages pair by pair, compiled by Numba: for `compiled`, where weights rest.

A filter depends on distance alone, so it is read from a table: rows of values and
slopes (times the grid's step) at evenly spaced distances up to the cutoff, between
which a cubic goes (Hermite). Features `h` (N, 5, F) of an atom are what its neighbours
take from it: to their scalars, along the line between the two, and three components to
their vectors (none of these before the first layer: (N, 2, F)). Messages, and gradients
`g` by them, are (N, 4, F): to the scalars, and three components to the vectors.
Schütt, Unke & Gastegger, arXiv 2102.03150, equations 7 and 8. Each pair i, j is listed
once, with r (P, 3) Å from i to j.
"""

import numpy as np
from numba import njit

_jit = njit(fastmath=True, cache=True, error_model="numpy")


@_jit
def messages(i, j, r, table, h, cutoff):
    """What the neighbours add, (N, 4, F)."""
    out = np.zeros((h.shape[0], 4, h.shape[2]), h.dtype)
    F = h.shape[2]
    w = np.empty(3 * F, h.dtype)
    for p in range(len(i)):
        d, x, y, z = _direction(r[p])
        if not d < cutoff:
            continue
        _filter(table, d / cutoff, w)
        a, b = i[p], j[p]
        for _ in range(2):
            o, g = out[a], h[b]
            _add(w[:F], g[0], o[0])
            _add_along(w[F : 2 * F], g[1], o[1], o[2], o[3], x, y, z)
            for c in range(2, len(g)):
                _add(w[2 * F :], g[c], o[c - 1])
            a, b, x, y, z = b, a, -x, -y, -z
    return out


@_jit
def gradients(i, j, r, table, h, cutoff, g):
    """Of ``(g * messages).sum()`` by h and by r (P, 3)."""
    to_h, to_r = np.zeros_like(h), np.zeros_like(r)
    F = h.shape[2]
    w, dw = np.empty(3 * F, h.dtype), np.empty(3 * F, h.dtype)
    for p in range(len(i)):
        d, x, y, z = _direction(r[p])
        if not d < cutoff:
            continue
        _filter(table, d / cutoff, w)
        _slope(table, d / cutoff, dw, cutoff)
        ga, gb, ha, hb = g[i[p]], g[j[p]], h[i[p]], h[j[p]]
        ka, kb = to_h[i[p]], to_h[j[p]]
        _add(w[:F], ga[0], kb[0])
        _add(w[:F], gb[0], ka[0])
        _add_back(w[F : 2 * F], ga, kb[1], x, y, z)
        _add_back(w[F : 2 * F], gb, ka[1], -x, -y, -z)
        change = _dot(dw[:F], ga[0], hb[0], gb[0], ha[0])
        for c in range(2, len(ha)):
            _add(w[2 * F :], ga[c - 1], kb[c])
            _add(w[2 * F :], gb[c - 1], ka[c])
            change += _dot(dw[2 * F :], ga[c - 1], hb[c], gb[c - 1], ha[c])
        n, u, v, q = _turn(w[F : 2 * F], dw[F : 2 * F], ga, gb, ha[1], hb[1], x, y, z)
        along = change + n - (u * x + v * y + q * z) / d
        to_r[p, 0] = along * x + u / d
        to_r[p, 1] = along * y + v / d
        to_r[p, 2] = along * z + q / d
    return to_h, to_r


@_jit
def _direction(r):
    d = np.sqrt(r[0] * r[0] + r[1] * r[1] + r[2] * r[2])
    return d, r[0] / d, r[1] / d, r[2] / d


@_jit
def _filter(table, share, w):
    """The filter at `share` of the cutoff."""
    k, s, t = _place(table, share)
    a, b, c, e = s * s * (s + t + t + t), s * s * t, t * t * (t + s + s + s), -t * t * s
    v0, m0, v1, m1 = table[k, 0], table[k, 1], table[k + 1, 0], table[k + 1, 1]
    for f in range(len(w)):
        w[f] = a * v0[f] + b * m0[f] + c * v1[f] + e * m1[f]


@_jit
def _slope(table, share, dw, cutoff):
    """Its derivative by distance."""
    k, s, t = _place(table, share)
    per = dw.dtype.type((len(table) - 1) / cutoff)
    a = dw.dtype.type(6) * s * t * per
    b, e = s * (s - t - t) * per, t * (t - s - s) * per
    v0, m0, v1, m1 = table[k, 0], table[k, 1], table[k + 1, 0], table[k + 1, 1]
    for f in range(len(dw)):
        dw[f] = a * (v1[f] - v0[f]) + b * m0[f] + e * m1[f]


@_jit
def _place(table, share):
    """The row of the table, and the shares of it and of the next.

    In single precision: whole numbers would make all they meet double, and slow.
    """
    place = share * (len(table) - 1)
    k = min(int(place), len(table) - 2)
    t = table.dtype.type(place - k)
    return k, table.dtype.type(1) - t, t


@_jit
def _add(w, h, o):
    for f in range(len(w)):
        o[f] += w[f] * h[f]


@_jit
def _add_along(w, h, o1, o2, o3, x, y, z):
    for f in range(len(w)):
        a = w[f] * h[f]
        o1[f] += x * a
        o2[f] += y * a
        o3[f] += z * a


@_jit
def _add_back(w, g, k, x, y, z):
    g1, g2, g3 = g[1], g[2], g[3]
    for f in range(len(w)):
        k[f] += w[f] * (x * g1[f] + y * g2[f] + z * g3[f])


@_jit
def _dot(dw, ga, hb, gb, ha):
    total = dw.dtype.type(0)
    for f in range(len(dw)):
        total += dw[f] * (ga[f] * hb[f] + gb[f] * ha[f])
    return total


@_jit
def _turn(w, dw, ga, gb, ha, hb, x, y, z):
    """By distance, and by the three components of the direction."""
    n = u = v = q = w.dtype.type(0)
    a1, a2, a3, b1, b2, b3 = ga[1], ga[2], ga[3], gb[1], gb[2], gb[3]
    for f in range(len(w)):
        p1 = a1[f] * hb[f] - b1[f] * ha[f]
        p2 = a2[f] * hb[f] - b2[f] * ha[f]
        p3 = a3[f] * hb[f] - b3[f] * ha[f]
        n += dw[f] * (x * p1 + y * p2 + z * p3)
        u += w[f] * p1
        v += w[f] * p2
        q += w[f] * p3
    return n, u, v, q
