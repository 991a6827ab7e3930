"""The mixture's arithmetic, compiled: counts under hashed contexts, matches, mixers. See mixture.py for what it does.

All compiled functions that call each other stand in this file: numba's cache on disk looks at one file only. Nothing is
reordered (no fastmath, no threads), so a run gives the same bits as the one before.
"""

# mypy: no-check-untyped-defs

import numpy as np
from numba import njit

CONTEXTS, MATCHES = 24, 2
INPUTS = 3 * CONTEXTS + 2 * MATCHES + 1  # of the first mixers: three a context, two a match, and a constant
SETS, JOINED, LAST = 7, 2, 6  # first mixers, those that join them, and the last ones, which the models are in
EXTRA = 2 + MATCHES  # inputs of the last mixers beside the first ones' results and two a model
SHORTEST = (5, 9)  # bytes that a match has at least
ROWS = 4096  # weight sets of a mixer, at most
LONGEST = 60  # and what is counted of it
KEYS, STEPS, MAPS = 1 << 16, 33, 4  # of the maps at the end: contexts, knots from -8 to 8, and their number
HISTORIES = 2048  # see `_history`
# Where what stands in `State.now`
POSITION, TOKEN, TOKEN2, SPELT, WORD, WORD2, WORD3, LETTERS, COLUMN, SPEAKER, OPENING, ORDER, STEP = range(13)
_A, _B, _C = 0x2545F4914F6CDD1D, 0x1B873593CC9E2D51, 0x5851F42D4C957F2D


@njit(cache=True)
def _hash(a, b):
    h = ((a + 1) * _A ^ (b + 3) * _B) * _C
    return h ^ ((h >> 29) & 0x7FFFFFFFF)


@njit(cache=True)
def _squash(x):
    return 1 / (1 + np.exp(-min(max(x, -20.0), 20.0)))


@njit(cache=True)
def _stretch(p, table):
    """log(p / (1 - p)), of p in 4096 steps."""
    return table[int(p * np.float32(4095.99))]


@njit(cache=True)
def _back(s, n):
    """The n-th last byte, 0 before the text."""
    return np.int64(s.text[s.now[POSITION] - n]) if s.now[POSITION] >= n else 0


@njit(cache=True)
def _take(s):
    """Go on by the byte at the position, which is known now."""
    now, byte = s.now, np.int64(s.text[s.now[POSITION]])
    last, both = _back(s, 1), 256 * _back(s, 2) + _back(s, 1)
    s.follow1[last] = ((s.follow1[last] << 8) | byte) & 0xFFFFFF
    s.follow2[both] = ((s.follow2[both] << 8) | byte) & 0xFFFFFF
    now[POSITION] += 1
    now[SPELT] = _hash(now[SPELT], byte)
    lower = byte + 32 if 65 <= byte <= 90 else byte
    if 97 <= lower <= 122 or lower == 39 or lower >= 128:
        now[WORD] = _hash(now[WORD], lower)
        now[LETTERS] += 1
    elif now[LETTERS]:
        now[WORD3], now[WORD2], now[WORD], now[LETTERS] = now[WORD2], now[WORD], 0, 0
        if not now[OPENING]:
            now[OPENING] = now[WORD2]
    if byte == 10:
        if now[COLUMN] == 0:
            now[SPEAKER] = 0
        if _back(s, 2) == 58:
            now[SPEAKER] = now[WORD2]
        now[COLUMN], now[OPENING] = 0, 0
    else:
        now[COLUMN] += 1
    for m in range(MATCHES):
        match, position = s.matches[m], now[POSITION]
        if match[1] and s.text[match[0]] == byte:
            match[0] += 1
            match[1] = min(match[1] + 1, LONGEST)
        else:
            match[1] = 0
        if position < SHORTEST[m]:
            continue
        h = np.int64(0)
        for j in range(SHORTEST[m]):
            h = _hash(h, np.int64(s.text[position - 1 - j]))
        h = (h >> 20) & (s.found.shape[1] - 1)
        if not match[1]:
            place, length = np.int64(s.found[m, h]), 0
            while (
                length < min(place, LONGEST) and s.text[place - 1 - length] == s.text[position - 1 - length]
            ):
                length += 1
            if length >= SHORTEST[m]:
                match[0], match[1] = place, length
        s.found[m, h] = position


@njit(cache=True)
def _contexts(s, kind, depth, out):
    """The contexts' hashes. kind: 0 inside a token, 1 at its start, 2 whether it ends."""
    now, c1, c2, c3, c4 = s.now, _back(s, 1), _back(s, 2), _back(s, 3), _back(s, 4)
    out[0] = _hash(kind, 77)
    for order in range(1, 8):
        out[order] = _hash(out[order - 1], _back(s, order))
    word, token, base = now[WORD], now[SPELT], 1000 * kind
    out[8] = _hash(_hash(base + 8, word), c1)
    out[9] = _hash(_hash(_hash(base + 9, word), now[WORD2]), c1)
    out[10] = _hash(_hash(_hash(_hash(base + 10, word), now[WORD2]), now[WORD3]), c1)
    out[11] = _hash(_hash(base + 11, c2), c3)
    out[12] = _hash(_hash(_hash(base + 12, word), now[WORD3]), c1)
    out[13] = _hash(_hash(base + 13, token), depth)
    out[14] = _hash(_hash(base + 14, token), now[TOKEN])
    out[15] = _hash(_hash(_hash(base + 15, token), now[TOKEN]), now[TOKEN2])
    out[16] = _hash(_hash(_hash(base + 16, token), now[TOKEN2]), c1)
    out[17] = _hash(_hash(_hash(base + 17, min(now[COLUMN], 20)), c1), np.int64(c2 == 10))
    out[18] = _hash(_hash(base + 18, s.follow2[256 * c2 + c1] & 0xFFFF), c1)
    out[19] = _hash(_hash(base + 19, s.follow1[c1]), c1)
    match, expected = s.matches[1] if s.matches[1, 1] else s.matches[0], np.int64(0)
    if match[1]:
        expected = np.int64(s.text[match[0]]) + 256 * (1 + min(match[1], 16) // 4)
    out[20] = _hash(_hash(base + 20, expected), c1)
    out[21] = _hash(_hash(_hash(base + 21, now[SPEAKER]), word), c1)
    out[22] = _hash(_hash(_hash(base + 22, now[OPENING]), word), c1)
    out[23] = _hash(_hash(_hash(base + 23, c3), c4), c2)


@njit(cache=True)
def _look_up(s, hashes, node, flag, places, x, table):
    """The slot of each context, made if it is new, and what it says."""
    mask = s.slots.shape[1] - 1
    for i in range(CONTEXTS):
        h = (hashes[i] + node * _B) * _A
        h = (h ^ ((h >> 31) & 0xFFFFFFFF)) * _C
        place, check = (h >> 24) & mask, ((h >> 8) & 0xFFFF) | 1
        if s.slots[i, place, 0] != check:
            other = place ^ 1
            if s.slots[i, other, 0] == check:
                place = other
            else:  # the one of the two that was visited less gives way
                if s.slots[i, place, 3] > s.slots[i, other, 3]:
                    place = other
                slot = s.slots[i, place]
                slot[0], slot[1], slot[2], slot[3] = check, 32768, 0, 0
        places[i], slot = place, s.slots[i, place]
        if slot[3]:
            p = np.float32(slot[1]) * np.float32(1 / 65536)
            x[3 * i] = _stretch(s.maps[i, flag, slot[2]], table)
            x[3 * i + 1] = _stretch(p, table)
            x[3 * i + 2] = (p - np.float32(0.5)) * np.float32(2)
        else:
            x[3 * i : 3 * i + 3] = 0


@njit(cache=True)
def _expect(s, m, node):
    """What a match expects of a decision, 0 or 1; -1 if nothing."""
    if not s.matches[m, 1]:
        return -1
    if node == 0:
        return np.int64(s.ends[s.matches[m, 0]])
    byte, bits = np.int64(s.text[s.matches[m, 0]]) | 256, 0
    while node >> (bits + 1):
        bits += 1
    return (byte >> (7 - bits)) & 1 if byte >> (8 - bits) == node else -1


@njit(cache=True)
def _history(history, bit):
    """Zeros and ones seen under a context (to 31 each), and the last: many of one are forgotten when the other comes."""
    counts = (history >> 6, (history >> 1) & 31)
    same, other = min(counts[bit] + 1, 31), counts[1 - bit]
    if other > 2:
        other = 2 + (other - 2) // 2 if other < 8 else 5 + (other - 8) // 4
    return (other << 6 | same << 1 | 1) if bit else (same << 6 | other << 1)


@njit(cache=True)
def _learn(s, places, bit, flag, rates):
    """Teach the slots and the maps of their histories."""
    for i in range(CONTEXTS):
        slot = s.slots[i, places[i]]
        visits, history = np.int64(slot[3]), np.int64(slot[2])
        if visits:
            n = s.seen[i, flag, history]
            s.seen[i, flag, history] = min(n + 1, rates.map)
            s.maps[i, flag, history] += np.float32((bit - s.maps[i, flag, history]) / (n + 1.5))
        p = np.float32(slot[1])
        p += (np.float32(bit * 65535) - p) * np.float32(1 / (visits + 1.6))
        slot[1] = np.uint16(min(max(p, np.float32(32)), np.float32(65503)))
        slot[2], slot[3] = _history(history, bit), min(visits + 1, rates.slot)


@njit(cache=True)
def _dot(weights, x):
    total = np.float32(0)
    for i in range(len(x)):
        total += weights[i] * x[i]
    return min(max(total, np.float32(-14)), np.float32(14))


@njit(cache=True)
def _add(weights, x, rate):
    for i in range(len(x)):
        weights[i] += rate * x[i]


@njit(cache=True)
def _mapped(s, keys, stretched, bit, rate):
    """The mean of what the maps at the end make of a probability. With a bit (0 or 1, else -1): teach them instead."""
    at = (min(max(stretched, -7.99), 7.99) + 8) * 2
    knot, total = int(at), 0.0
    upper = at - knot
    for i in range(MAPS):
        row = s.final[i, keys[i]]
        if bit >= 0:
            row[knot] += np.float32((bit - row[knot]) * rate * (1 - upper))
            row[knot + 1] += np.float32((bit - row[knot + 1]) * rate * upper)
        total += row[knot] * (1 - upper) + row[knot + 1] * upper
    return total / MAPS


@njit(cache=True)
def read(s, tokens, lengths, decisions, stretched, rates):
    """Code a text that `State.text` has got already, decision by decision, each before it is learned from.

    Args:
        tokens: ids, int64 (n,); lengths: their bytes.
        decisions: first, bit, node and depth of their `Walk`.
        stretched: log(p / (1 - p)) of a 1 by each model at each decision, float32 (models, decisions); of no model
            where there is none. They say nothing about a text that they were trained on.

    Returns:
        the code length of each token in nats, float64 (n,).
    """
    first, bits, nodes, depths = decisions
    costs, now, models = np.zeros(len(tokens)), s.now, stretched.shape[0]
    table = np.empty(4096, np.float32)
    for i in range(4096):
        table[i] = np.log((i + 0.5) / (4095.5 - i))
    hashes, places = np.zeros(CONTEXTS, np.int64), np.zeros(CONTEXTS, np.int64)
    x, y = np.zeros(INPUTS, np.float32), np.zeros(s.last.shape[2] if models else 1, np.float32)
    x[INPUTS - 1] = 0.4
    chosen, joined, lasts = np.zeros(SETS, np.int64), np.zeros(JOINED, np.int64), np.zeros(LAST, np.int64)
    keys, guess = np.zeros(MAPS, np.int64), np.zeros(SETS, np.float32)
    expected, two, four = np.zeros(MATCHES, np.int64), np.zeros(JOINED), np.zeros(LAST)
    for t in range(len(tokens)):
        now[SPELT], taken, before = 0, 0, -1
        for d in range(first[t], first[t + 1]):
            while taken < depths[d]:
                _take(s)
                s.ends[now[POSITION]] = 0
                taken += 1
            node, depth, bit = np.int64(nodes[d]), np.int64(depths[d]), np.int64(bits[d])
            kind = 2 if node == 0 else (1 if depth == 0 else 0)
            flag = 1 if kind == 2 else 0
            start = before != 1000 * kind + depth
            if start:
                before = 1000 * kind + depth
                _contexts(s, kind, depth, hashes)
            _look_up(s, hashes, node, flag, places, x, table)
            if start:
                now[ORDER] = 0
                while now[ORDER] < 7 and s.slots[now[ORDER] + 1, places[now[ORDER] + 1], 3]:
                    now[ORDER] += 1
            order, length = now[ORDER], np.int64(0)
            for m in range(MATCHES):
                expected[m] = _expect(s, m, node)
                at = INPUTS - 1 - 2 * MATCHES + 2 * m
                x[at : at + 2] = 0
                if expected[m] >= 0:
                    p, sign = s.trust[m, flag, s.matches[m, 1]], np.float32(2 * expected[m] - 1)
                    x[at], x[at + 1] = sign * _stretch(p, table), sign * (p - np.float32(0.5)) * 4
                    length = 1 + min(s.matches[m, 1], 31)
            c1, c2, spot = _back(s, 1), _back(s, 2), order * 3 + kind + 24 * min(depth, 12)
            letters = min(now[LETTERS], 15)
            chosen[0], chosen[1], chosen[2] = node * 8 + order, c1 + 256 * kind, length * 3 + kind
            chosen[3], chosen[4] = spot, c2 + 256 * kind
            chosen[5], chosen[6] = letters * 3 + kind + 48 * min(length // 4, 7), 0
            joined[0], joined[1] = node, length * 8 + order
            for i in range(SETS):
                guess[i] = _dot(s.first[i, chosen[i]], x)
            result = 0.0
            for i in range(JOINED):
                two[i] = _dot(s.join[i, joined[i]], guess)
                result += two[i] / JOINED
            if models:
                for i in range(SETS):
                    y[i] = guess[i]
                y[SETS], y[SETS + 1] = result, 0.4
                for m in range(MATCHES):
                    y[SETS + 2 + m] = x[INPUTS - 1 - 2 * MATCHES + 2 * m]
                for k in range(models):
                    y[SETS + EXTRA + 2 * k] = stretched[k, d]
                    y[SETS + EXTRA + 2 * k + 1] = 2 * _squash(stretched[k, d]) - 1
                lasts[0] = int(min(max(stretched[0, d] + 8, 0), 15)) * 16 + int(min(max(result + 8, 0), 15))
                lasts[1], lasts[2], lasts[3] = node, spot, length * 3 + kind
                lasts[4], lasts[5] = (
                    c1 + 256 * kind,
                    int(min(max(stretched[0, d] * 2 + 16, 0), 31)) * 8 + order,
                )
                result = 0.0
                for i in range(LAST):
                    four[i] = _dot(s.last[i, lasts[i]], y)
                    result += four[i] / LAST
            shape = node + 256 * kind
            keys[0], keys[1] = shape, (_hash(c1, shape) >> 20) & (KEYS - 1)
            inside = now[SPELT] if depth else now[WORD]
            keys[2] = (_hash(_hash(inside, depth + 16 * c1), shape) >> 20) & (KEYS - 1)
            keys[3] = 0
            if models:
                keys[3] = int(min(max(stretched[0, d] * 4 + 32, 0), 63)) * 3 + kind
            p = (1 - rates.share) * _squash(result) + rates.share * _mapped(s, keys, result, -1, 0.0)
            p = min(max(p, 1e-6), 1 - 1e-6)
            costs[t] -= np.log(p if bit else 1 - p)

            _mapped(s, keys, result, bit, rates.final)
            if models:
                for i in range(LAST):
                    _add(s.last[i, lasts[i]], y, np.float32((bit - _squash(four[i])) * rates.last))
            for i in range(JOINED):
                _add(s.join[i, joined[i]], guess, np.float32((bit - _squash(two[i])) * rates.join))
            rate = max(rates.least, rates.first / (1 + now[STEP] / rates.fall))
            for i in range(SETS):
                _add(s.first[i, chosen[i]], x, np.float32((bit - _squash(guess[i])) * rate))
            _learn(s, places, bit, flag, rates)
            for m in range(MATCHES):
                if expected[m] >= 0:
                    old = s.trust[m, flag, s.matches[m, 1]]
                    new = old + ((expected[m] == bit) - old) * np.float32(0.005)
                    s.trust[m, flag, s.matches[m, 1]] = min(max(new, np.float32(0.501)), np.float32(0.9998))
            now[STEP] += 1
        while taken < lengths[t]:
            _take(s)
            s.ends[now[POSITION]] = 0
            taken += 1
        s.ends[now[POSITION]] = 1
        now[TOKEN2], now[TOKEN] = now[TOKEN], tokens[t] + 1
    return costs
