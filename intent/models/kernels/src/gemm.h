// Products of small matrices that stay in the cache, in the registers' own blocks.
#pragma once

#include "simd.h"

// A block of C [ROWS, COLUMNS * LANES] in registers: C (+)= A B over `depth`.
template <int ROWS, int COLUMNS>
static inline void block(int depth, const float* a, size_t ai, size_t ak, const float* b, size_t ldb,
                         float* c, size_t ldc, bool add) {
  Vec sums[ROWS][COLUMNS];
#pragma GCC unroll 16
  for (int i = 0; i < ROWS; ++i)
#pragma GCC unroll 4
    for (int j = 0; j < COLUMNS; ++j)
      sums[i][j] = add ? load(c + i * ldc + j * LANES) : Vec{};
  for (int k = 0; k < depth; ++k, a += ak, b += ldb) {
    Vec row[COLUMNS];
#pragma GCC unroll 4
    for (int j = 0; j < COLUMNS; ++j) row[j] = load(b + j * LANES);
#pragma GCC unroll 16
    for (int i = 0; i < ROWS; ++i) {
      Vec factor = splat(a[i * ai]);
#pragma GCC unroll 4
      for (int j = 0; j < COLUMNS; ++j) sums[i][j] += factor * row[j];
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < ROWS; ++i)
#pragma GCC unroll 4
    for (int j = 0; j < COLUMNS; ++j) store(c + i * ldc + j * LANES, sums[i][j]);
}

template <int ROWS, int COLUMNS>
static inline void rows_of_blocks(int rows, int depth, const float* a, size_t ai, size_t ak,
                                  const float* b, size_t ldb, float* c, size_t ldc, bool add) {
  int i = 0;
  for (; i + ROWS <= rows; i += ROWS)
    block<ROWS, COLUMNS>(depth, a + i * ai, ai, ak, b, ldb, c + i * ldc, ldc, add);
  if (i + 4 <= rows && ROWS > 4)
    for (; i + 4 <= rows; i += 4)
      block<4, COLUMNS>(depth, a + i * ai, ai, ak, b, ldb, c + i * ldc, ldc, add);
  if (i + 2 <= rows) {
    block<2, COLUMNS>(depth, a + i * ai, ai, ak, b, ldb, c + i * ldc, ldc, add);
    i += 2;
  }
  if (i < rows)
    block<1, COLUMNS>(depth, a + i * ai, ai, ak, b, ldb, c + i * ldc, ldc, add);
}

// C [m, n] = A [m, k] B [k, n], or C += A B with `add`.
//
// Element (i, j) of A is a[i * ai + j * ak], so A may be a transpose. Rows of B and C lie ldb and ldc
// apart; n is a multiple of LANES.
static void gemm(int m, int n, int k, const float* a, size_t ai, size_t ak, const float* b, size_t ldb,
                 float* c, size_t ldc, bool add = false) {
  const int DEPTH = 128;  // rows of B whose panel stays in the first-level cache
  for (int j = 0; j < n;) {
    int left = (n - j) / LANES;
#if LANES == 16
    int columns = left % 4 == 0 ? 4 : left % 3 == 0 ? 3 : left >= 2 ? 2 : 1;
#else
    int columns = left >= 2 ? 2 : 1;
#endif
    for (int from = 0; from < k || (from == 0 && k == 0); from += DEPTH) {
      int depth = k - from < DEPTH ? k - from : DEPTH;
      bool more = add || from > 0;
      const float* part = a + from * ak;
      const float* panel = b + from * ldb + j;
      float* out = c + j;
#if LANES == 16
      if (columns == 4)
        rows_of_blocks<6, 4>(m, depth, part, ai, ak, panel, ldb, out, ldc, more);
      else if (columns == 3)
        rows_of_blocks<8, 3>(m, depth, part, ai, ak, panel, ldb, out, ldc, more);
      else if (columns == 2)
        rows_of_blocks<12, 2>(m, depth, part, ai, ak, panel, ldb, out, ldc, more);
      else
        rows_of_blocks<12, 1>(m, depth, part, ai, ak, panel, ldb, out, ldc, more);
#else
      if (columns == 2)
        rows_of_blocks<LANES == 8 ? 6 : 4, 2>(m, depth, part, ai, ak, panel, ldb, out, ldc, more);
      else
        rows_of_blocks<8, 1>(m, depth, part, ai, ak, panel, ldb, out, ldc, more);
#endif
    }
    j += columns * LANES;
  }
}
