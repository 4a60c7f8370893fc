// Inter-view attention of one group: equation (4), over the real actions alone.
//
// Letters: p actions of the shorter view v, q of the longer view u, W width of a state, P, Q and X
// the same rounded up to whole vectors.
#pragma once

#include "gemm.h"

static inline size_t inter_view_scratch(int length, int width) {
  size_t n = padded(length), w = padded(width);
  return 8 * n * w + 4 * n * n + 4 * n;
}

// Softmax over the first `columns` of each row of S [rows, stride]; the rest becomes 0.
static inline void softmax_rows(float* s, int rows, int columns, int stride) {
  for (int i = 0; i < rows; ++i, s += stride) {
    for (int j = columns; j < stride; ++j) s[j] = -1e30f;
    Vec most = load(s);
    for (int j = LANES; j < stride; j += LANES) most = larger(most, load(s + j));
    Vec top = splat(greatest(most)), sum = Vec{};
    for (int j = 0; j < stride; j += LANES) {
      Vec e = exponential(load(s + j) - top);
      store(s + j, e);
      sum += e;
    }
    Vec share = splat(1.f / total(sum));  // what padding added is 1e-38, next to 1 or more
    for (int j = 0; j < stride; j += LANES) store(s + j, load(s + j) * share);
    for (int j = columns; j < stride; ++j) s[j] = 0;
  }
}

// Softmax over the rows of each of the first `columns` of S [rows, stride] -> T [rows, wide].
static inline void softmax_columns(const float* s, int rows, int columns, int stride, float* t,
                                   int wide) {
  for (int j = 0; j < columns; j += LANES) {
    Vec top = load(s + j), sum = Vec{};
    for (int i = 1; i < rows; ++i) top = larger(top, load(s + (size_t)i * stride + j));
    for (int i = 0; i < rows; ++i) {
      Vec e = exponential(load(s + (size_t)i * stride + j) - top);
      store(t + (size_t)i * wide + j, e);
      sum += e;
    }
    Vec share = 1.f / sum;
    for (int i = 0; i < rows; ++i) {
      float* at = t + (size_t)i * wide + j;
      store(at, load(at) * share);
    }
  }
  for (int i = 0; i < rows; ++i)
    for (int j = columns; j < wide; ++j) t[(size_t)i * wide + j] = 0;
}

// What both directions begin with: v and u with whole vectors in a row, u's transpose, and both
// softmaxes of the scores, S = v u' / sqrt(W): by rows [p, Q], by columns [p, P].
struct InterView {
  int p, q, width, P, Q, X;
  float *v, *u, *ut, *by_row, *by_column, *rest;

  InterView(const float* v_in, int p, const float* u_in, int q, int width, float* scratch)
      : p(p), q(q), width(width), P(padded(p)), Q(padded(q)), X(padded(width)) {
    v = scratch;
    u = v + (size_t)P * X;
    ut = u + (size_t)Q * X;
    by_row = ut + (size_t)Q * X;
    by_column = by_row + (size_t)P * Q;
    rest = by_column + (size_t)P * P;
    widen(v_in, width, p, width, v, X);
    widen(u_in, width, q, width, u, X);
    transpose(u, X, q, X, ut, Q);
    gemm(p, Q, X, v, X, 1, ut, Q, by_row, Q);
    Vec scale = splat(1.f / __builtin_sqrtf((float)width));
    for (size_t i = 0; i < (size_t)p * Q; i += LANES) store(by_row + i, load(by_row + i) * scale);
    softmax_columns(by_row, p, p, Q, by_column, P);
    softmax_rows(by_row, p, q, Q);
  }
};

// r = a * c with a = softmax(v u') u and c = softmax(u v') v, for rows below p.
static void inter_view_forward(const float* v, int p, const float* u, int q, int width, float* a,
                               float* c, float* r, float* scratch) {
  InterView it(v, p, u, q, width, scratch);
  float *wide_a = it.rest, *wide_c = wide_a + (size_t)it.P * it.X;
  gemm(p, it.X, q, it.by_row, it.Q, 1, it.u, it.X, wide_a, it.X);
  gemm(p, it.X, p, it.by_column, 1, it.P, it.v, it.X, wide_c, it.X);
  for (int i = 0; i < p; ++i)
    for (int j = 0; j < width; ++j) {
      size_t to = (size_t)i * width + j, from = (size_t)i * it.X + j;
      a[to] = wide_a[from];
      c[to] = wide_c[from];
      r[to] = wide_a[from] * wide_c[from];
    }
}

// The gradients of v and u from that of r; a and c are those of the forward pass.
static void inter_view_backward(const float* v, int p, const float* u, int q, int width,
                                const float* a, const float* c, const float* dr, float* dv, float* du,
                                float* scratch) {
  InterView it(v, p, u, q, width, scratch);
  int P = it.P, Q = it.Q, X = it.X;
  float* da = it.rest;
  float* dc = da + (size_t)P * X;
  float* dct = dc + (size_t)P * X;
  float* ds = dct + (size_t)P * X;
  float* dt = ds + (size_t)P * Q;
  float* of_row = dt + (size_t)P * P;
  float* of_column = of_row + P;
  clear(of_column, P);
  for (int i = 0; i < p; ++i) {
    float row = 0, column = 0;
    for (int j = 0; j < width; ++j) {
      size_t from = (size_t)i * width + j, to = (size_t)i * X + j;
      da[to] = dr[from] * c[from];
      dc[to] = dr[from] * a[from];
      row += da[to] * a[from];
      column += dc[to] * c[from];
    }
    for (int j = width; j < X; ++j) da[(size_t)i * X + j] = dc[(size_t)i * X + j] = 0;
    of_row[i] = row;
    of_column[i] = column;
  }
  transpose(dc, X, p, X, dct, P);
  gemm(p, Q, X, da, X, 1, it.ut, Q, ds, Q);  // of the softmax by rows
  gemm(p, P, X, it.v, X, 1, dct, P, dt, P);  // of the softmax by columns
  Vec scale = splat(1.f / __builtin_sqrtf((float)width));
  for (int i = 0; i < p; ++i) {
    float *ds_i = ds + (size_t)i * Q, *dt_i = dt + (size_t)i * P;
    const float *row = it.by_row + (size_t)i * Q, *column = it.by_column + (size_t)i * P;
    Vec mean = splat(of_row[i]);
    for (int j = 0; j < Q; j += LANES) {
      Vec d = load(row + j) * (load(ds_i + j) - mean);
      if (j < P) d += load(column + j) * (load(dt_i + j) - load(of_column + j));
      store(ds_i + j, d * scale);
    }
  }
  float* out = it.ut;  // u's transpose is used up, and has room for the longer view
  gemm(p, X, q, ds, Q, 1, it.u, X, out, X);
  gemm(p, X, p, it.by_column, P, 1, dc, X, out, X, true);
  for (int i = 0; i < p; ++i) memcpy(dv + (size_t)i * width, out + (size_t)i * X, width * 4);
  gemm(q, X, p, ds, 1, Q, it.v, X, out, X);
  gemm(q, X, p, it.by_row, 1, Q, da, X, out, X, true);
  for (int i = 0; i < q; ++i) memcpy(du + (size_t)i * width, out + (size_t)i * X, width * 4);
}
