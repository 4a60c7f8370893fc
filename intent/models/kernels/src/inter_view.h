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

// Softmax over the rows of each column of S [rows, stride] -> T [rows, wide], in a strip of columns.
template <int VECTORS>
static inline void softmax_strip(const float* s, int rows, int stride, float* t, int wide) {
  Vec top[VECTORS], sum[VECTORS] = {};
  for (int v = 0; v < VECTORS; ++v) top[v] = load(s + v * LANES);
  for (int i = 1; i < rows; ++i)
    for (int v = 0; v < VECTORS; ++v)
      top[v] = larger(top[v], load(s + (size_t)i * stride + v * LANES));
  for (int i = 0; i < rows; ++i)
    for (int v = 0; v < VECTORS; ++v) {
      Vec e = exponential(load(s + (size_t)i * stride + v * LANES) - top[v]);
      store(t + (size_t)i * wide + v * LANES, e);
      sum[v] += e;
    }
  for (int v = 0; v < VECTORS; ++v) sum[v] = 1.f / sum[v];
  for (int i = 0; i < rows; ++i)
    for (int v = 0; v < VECTORS; ++v) {
      float* at = t + (size_t)i * wide + v * LANES;
      store(at, load(at) * sum[v]);
    }
}

// The same over the first `columns`; the rest of T becomes 0.
static inline void softmax_columns(const float* s, int rows, int columns, int stride, float* t,
                                   int wide) {
  int j = 0;
  for (; j + 4 * LANES <= wide; j += 4 * LANES) softmax_strip<4>(s + j, rows, stride, t + j, wide);
  for (; j < wide; j += LANES) softmax_strip<1>(s + j, rows, stride, t + j, wide);
  for (int i = 0; i < rows; ++i)
    for (int k = columns; k < wide; ++k) t[(size_t)i * wide + k] = 0;
}

// What both directions begin with: v and u with whole vectors in a row, u's transpose over sqrt(W),
// and both softmaxes of the scores, S = v u' / sqrt(W): by rows [p, Q], by columns [p, P].
struct InterView {
  int p, q, width, P, Q, X;
  float scale;
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
    scale = 1.f / __builtin_sqrtf((float)width);
    transpose(u, X, q, X, ut, Q);
    for (size_t i = 0; i < (size_t)X * Q; i += LANES) store(ut + i, load(ut + i) * scale);
    gemm(p, Q, X, v, X, 1, ut, Q, by_row, Q);
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
  gemm(p, Q, X, da, X, 1, it.ut, Q, ds, Q);  // of the softmax by rows, over sqrt(W)
  gemm(p, P, X, it.v, X, 1, dct, P, dt, P);  // of the softmax by columns
  for (int i = 0; i < p; ++i) {
    float *ds_i = ds + (size_t)i * Q, *dt_i = dt + (size_t)i * P;
    const float *row = it.by_row + (size_t)i * Q, *column = it.by_column + (size_t)i * P;
    Vec mean = splat(of_row[i] * it.scale);
    for (int j = 0; j < Q; j += LANES) {
      Vec d = load(row + j) * (load(ds_i + j) - mean);
      if (j < P) d += load(column + j) * (load(dt_i + j) - load(of_column + j)) * it.scale;
      store(ds_i + j, d);
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
