# SPDX-License-Identifier: Apache-2.0
#
# usage: make_official_bf16.py > Inputs/official_bf16.txt   (needs torch)
#        make_official_bf16.py ties > Inputs/official_bf16_ties.txt
#
# The dense matrices that the reference implementation of Fairy2i makes of a
# random bfloat16 matrix in 1 to 4 stages, by the same bfloat16 operations in
# the same order: halves of sums and differences, codes by the angle, means of
# bfloat16, residuals and sums of stages. Seeds are tried until no entry of any
# stage is an exact tie, for those depend on the vector library. With `ties`: a
# matrix of eighths, which has many, and the codes k (of i^k) that the reference
# finds for U and then W in its first stage. Per line: a word, and bfloat16 bit
# patterns or codes.
import math
import sys

import torch

ROWS, COLUMNS, STAGES = 24, 32, 4


class Tie(Exception):
    pass


def sectors(re, im):
    """Where the codes +1, -1 and +i are; the rest is -i."""
    angle = torch.angle(torch.complex(re.float(), im.float()))
    quarter = math.pi / 4
    positive = (angle >= -quarter) & (angle < quarter)
    negative = (angle >= 3 * quarter) | (angle < -3 * quarter)
    up = (angle >= quarter) & (angle < 3 * quarter)
    return positive, negative, up


def stage(re, im):
    if bool((re.abs() == im.abs()).any()):
        raise Tie
    positive, negative, up = sectors(re, im)
    real = positive | negative

    def scaled(values, on_axis, plus):
        scale = values[on_axis].abs().mean().clamp(min=1e-6)
        code = torch.where(plus, 1.0, -1.0).to(values.dtype)
        return torch.where(on_axis, code * scale, torch.zeros_like(values))

    return scaled(re, real, positive), scaled(im, ~real, up)


def residual_stages(re, im, stages):
    sum_re = sum_im = None
    for _ in range(stages):
        q_re, q_im = stage(re, im)
        re, im = re - q_re, im - q_im
        sum_re = q_re if sum_re is None else sum_re + q_re
        sum_im = q_im if sum_im is None else sum_im + q_im
    return sum_re, sum_im


def widely_linear(a):
    n, m = a.shape[0] // 2, a.shape[1] // 2
    a11, a12, a21, a22 = a[:n, :m], a[:n, m:], a[n:, :m], a[n:, m:]
    return ((0.5 * (a11 + a22), 0.5 * (a21 - a12)),
            (0.5 * (a11 - a22), 0.5 * (a12 + a21)))


def quantized(a, stages):
    u, w = widely_linear(a)
    u_re, u_im = residual_stages(*u, stages)
    w_re, w_im = residual_stages(*w, stages)
    top = torch.cat([w_re + u_re, w_im - u_im], dim=1)
    bottom = torch.cat([w_im + u_im, u_re - w_re], dim=1)
    return torch.cat([top, bottom], dim=0)


def show(word, tensor):
    bits = tensor.contiguous().view(torch.int16).flatten().tolist()
    print(word, *("%04x" % (b & 0xffff) for b in bits))


def show_ties():
    torch.manual_seed(0)
    a = (torch.round(torch.randn(16, 20) * 4) / 8 + 0.0).to(torch.bfloat16)
    print("shape", *a.shape)
    show("a", a)
    codes = []
    for re, im in widely_linear(a):
        positive, negative, up = sectors(re, im)
        k = torch.full(re.shape, 3)
        k[positive], k[negative], k[up] = 0, 2, 1
        codes += k.flatten().tolist()
    print("codes", *codes)


if sys.argv[1:] == ["ties"]:
    show_ties()
    sys.exit()
for seed in range(100000):
    torch.manual_seed(seed)
    a = (torch.randn(ROWS, COLUMNS) * 0.05).to(torch.bfloat16)
    try:
        results = [quantized(a, t) for t in range(1, STAGES + 1)]
    except Tie:
        continue
    print("shape", ROWS, COLUMNS)
    show("a", a)
    for t, result in enumerate(results, 1):
        show("stages%d" % t, result)
    break
