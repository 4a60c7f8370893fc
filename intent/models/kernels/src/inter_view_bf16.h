// Inter-view attention of one group with products in bfloat16; sums, softmax and what leaves are
// float32. Both of equation (4)'s factors are the same computation, a view that attends to another:
// o = softmax(x y' / sqrt(W)) y.
//
// Letters: p queries of x, n actions of y, W width; P, Q and X the same rounded up to 32.
#pragma once

#include "amx.h"

static inline int tiled(int n) { return (n + 31) / 32 * 32; }

// A view in the forms that a product may ask for.
struct TiledView {
  int padded_rows;                 // P
  Bf16 *rows, *across;             // [P, X], [X, P]
  uint32_t *pairs, *across_pairs;  // [P / 2, X], [X / 2, P]

  static size_t size(int n, int width) { return 2 * (size_t)tiled(n) * tiled(width); }  // in floats

  TiledView(const float* from, int n, int width, float* scratch) {
    int P = tiled(n), X = tiled(width);
    size_t half = (size_t)P * X / 2;
    padded_rows = P;
    rows = (Bf16*)scratch;
    across = (Bf16*)(scratch + half);
    pairs = (uint32_t*)(scratch + 2 * half);
    across_pairs = pairs + half;
    to_rows(from, n, width, rows, P, X);
    to_pairs(rows, P, X, pairs);
    transpose_words(rows, P, X / 2, across_pairs);
    pairs_to_transpose(pairs, P, X, across);
  }
};

static size_t inter_view_bf16_scratch(int length, int width) {
  size_t n = tiled(length), x = tiled(width);
  return 3 * TiledView::size(length, width) + 2 * n * n + 3 * (n * n / 2) + 4 * n * x + n;
}

// Rows i and i + 1 of the scores become e^(s - most) and their sums; columns from n on become 0.
static inline void exponentials(float* s, int n, int Q, float scale, float* sums) {
  for (int row = 0; row < 2; ++row, s += Q) {
    Vec most = splat(-1e30f), sum = Vec{};
    for (int j = n; j < Q; ++j) s[j] = -1e30f;
    for (int j = 0; j < Q; j += LANES) most = larger(most, load(s + j));
    Vec top = splat(greatest(most) * scale);
    for (int j = 0; j < Q; j += LANES) {
      Vec e = exponential(load(s + j) * scale - top);
      store(s + j, e);
      sum += e;
    }
    for (int j = n; j < Q; ++j) s[j] = 0;
    sums[row] = total(sum);
  }
}

// o [P, X] = softmax(x y' / sqrt(W)) y.
static void attend(const TiledView& x, int p, const TiledView& y, int n, int width, float* o,
                   float* scratch) {
  int P = tiled(p), Q = tiled(n), X = tiled(width);
  float* s = scratch;
  Bf16* weights = (Bf16*)(s + (size_t)P * Q);
  tile_gemm(P, Q, X, x.rows, X, y.across_pairs, Q, s, Q);
  float scale = 1.f / __builtin_sqrtf((float)width), sums[2];
  for (int i = 0; i < P; i += 2) {
    exponentials(s + (size_t)i * Q, n, Q, scale, sums);
    for (int row = 0; row < 2; ++row) {
      Vec share = splat(1.f / sums[row]);
      for (int j = 0; j < Q; j += LANES) {
        size_t at = (size_t)(i + row) * Q + j;
        store_row(weights + at, load(s + at) * share);
      }
    }
  }
  tile_gemm(P, X, Q, weights, Q, y.pairs, X, o, X);
}

static void inter_view_forward_bf16(const float* v, int p, const float* u, int q, int width, float* a,
                                    float* c, float* r, float* scratch) {
  Tiles tiles;
  int P = tiled(p), X = tiled(width);
  TiledView of_v(v, p, width, scratch);
  scratch += TiledView::size(p, width);
  TiledView of_u(u, q, width, scratch);
  scratch += TiledView::size(q, width);
  float *wide_a = scratch, *wide_c = wide_a + (size_t)P * X;
  scratch = wide_c + (size_t)P * X;
  attend(of_v, p, of_u, q, width, wide_a, scratch);
  attend(of_u, p, of_v, p, width, wide_c, scratch);
  for (int i = 0; i < p; ++i)
    for (int j = 0; j < width; ++j) {
      size_t to = (size_t)i * width + j, from = (size_t)i * X + j;
      a[to] = wide_a[from];
      c[to] = wide_c[from];
      r[to] = wide_a[from] * wide_c[from];
    }
}

// The way back of `attend`: adds to dx [P, X] and, as its transpose, to dyt [X, Q]. `means` [p] are
// the products of o and its gradient `d`, row by row.
static void attend_back(const TiledView& x, int p, const TiledView& y, int n, int width,
                        const TiledView& d, const float* means, float* dx, float* dyt,
                        float* scratch) {
  int P = tiled(p), Q = tiled(n), X = tiled(width);
  float *s = scratch, *dp = s + (size_t)P * Q;
  Bf16* ds_rows = (Bf16*)(dp + (size_t)P * Q);
  uint32_t* ds_pairs = (uint32_t*)(ds_rows + (size_t)P * Q);
  uint32_t* weight_pairs = ds_pairs + (size_t)P * Q / 2;
  tile_gemm(P, Q, X, x.rows, X, y.across_pairs, Q, s, Q);
  tile_gemm(P, Q, X, d.rows, X, y.across_pairs, Q, dp, Q);
  float scale = 1.f / __builtin_sqrtf((float)width), sums[2];
  for (int i = 0; i < P; i += 2) {
    float* even = s + (size_t)i * Q;
    exponentials(even, n, Q, scale, sums);
    Vec share0 = splat(i < p ? 1.f / sums[0] : 0), share1 = splat(i + 1 < p ? 1.f / sums[1] : 0);
    Vec mean0 = splat(i < p ? means[i] : 0), mean1 = splat(i + 1 < p ? means[i + 1] : 0);
    for (int j = 0; j < Q; j += LANES) {
      size_t at = (size_t)i * Q + j;
      Vec w0 = load(even + j) * share0, w1 = load(even + Q + j) * share1;
      Vec d0 = w0 * (load(dp + at) - mean0) * scale, d1 = w1 * (load(dp + at + Q) - mean1) * scale;
      store_pair(weight_pairs + (size_t)i / 2 * Q + j, w0, w1);
      store_pair(ds_pairs + (size_t)i / 2 * Q + j, d0, d1);
      store_row(ds_rows + at, d0);
      store_row(ds_rows + at + Q, d1);
    }
  }
  tile_gemm(P, X, Q, ds_rows, Q, y.pairs, X, dx, X, true);
  tile_gemm(X, Q, P, x.across, x.padded_rows, ds_pairs, Q, dyt, Q, true);
  tile_gemm(X, Q, P, d.across, P, weight_pairs, Q, dyt, Q, true);
}

static void inter_view_backward_bf16(const float* v, int p, const float* u, int q, int width,
                                     const float* a, const float* c, const float* dr, float* dv,
                                     float* du, float* scratch) {
  Tiles tiles;
  int P = tiled(p), Q = tiled(q), X = tiled(width);
  TiledView of_v(v, p, width, scratch);
  scratch += TiledView::size(p, width);
  TiledView of_u(u, q, width, scratch);
  scratch += TiledView::size(q, width);
  // The two halves need the gradients of a and of c in turn, in one place.
  float* space = scratch;
  scratch += TiledView::size(p, width);
  float *means = scratch, *d = means + P, *wide = d + (size_t)p * width;
  float *dvx = wide, *dux = dvx + (size_t)P * X, *dt = dux + (size_t)P * X;
  scratch = dt + (size_t)Q * X;
  for (int half = 0; half < 2; ++half) {
    const float *other = half ? a : c, *own = half ? c : a;
    for (int i = 0; i < p; ++i) {
      float sum = 0;
      for (int j = 0; j < width; ++j) {
        size_t at = (size_t)i * width + j;
        d[at] = dr[at] * other[at];
        sum += d[at] * own[at];
      }
      means[i] = sum;
    }
    TiledView of_d(d, p, width, space);
    int n = half ? p : q;
    clear(half ? dux : dvx, (size_t)P * X);
    clear(dt, (size_t)tiled(n) * X);
    if (half == 0) {
      attend_back(of_v, p, of_u, q, width, of_d, means, dvx, dt, scratch);
      transpose(dt, Q, X, Q, scratch, X);
      for (int i = 0; i < q; ++i)
        memcpy(du + (size_t)i * width, scratch + (size_t)i * X, width * sizeof(float));
    } else {
      attend_back(of_u, p, of_v, p, width, of_d, means, dux, dt, scratch);
      transpose(dt, P, X, P, scratch, X);
      for (int i = 0; i < p; ++i)
        for (int j = 0; j < width; ++j) {
          size_t from = (size_t)i * X + j, to = (size_t)i * width + j;
          dv[to] = dvx[from] + scratch[from];
          du[to] += dux[from];
        }
    }
  }
}
