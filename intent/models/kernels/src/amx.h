// Products of matrices of bfloat16 with sums in float32, by the tile unit (AMX) of newer Intel CPUs.
//
// Three forms of a matrix of bfloat16: "rows" is plain row-major, the left factor; "pairs" [k / 2, n]
// holds rows 2i and 2i + 1 of the right factor side by side in 32 bits, the lower half first.
#pragma once

#include "simd.h"

typedef uint16_t Bf16;

// All eight tiles: 16 rows of 64 bytes. Belongs to a thread; released so that others may configure.
struct Tiles {
  Tiles() {
    struct {
      uint8_t palette = 1, start_row = 0, reserved[14] = {};
      uint16_t bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
      uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
    } config;
    // Not _tile_loadconfig: GCC's names 8 bytes as what it reads, and stores to the rest get lost.
    __asm__ volatile("ldtilecfg %0" ::"m"(config));
  }
  ~Tiles() { _tile_release(); }
};

// C [m, n] = A [m, k] B [k, n], or C += A B; m, n and k are multiples of 32. A comes as rows of `lda`
// numbers, B as pairs with `ldb` pairs in a row, C as float32.
static void tile_gemm(int m, int n, int k, const Bf16* a, size_t lda, const uint32_t* b, size_t ldb,
                      float* c, size_t ldc, bool add = false) {
  __asm__ volatile("" ::: "memory");  // GCC does not know that loads of tiles read memory
  for (int i = 0; i < m; i += 32)
    for (int j = 0; j < n; j += 32) {
      float *c0 = c + i * ldc + j, *c1 = c0 + 16 * ldc;
      if (add) {
        _tile_loadd(0, c0, ldc * 4);
        _tile_loadd(1, c0 + 16, ldc * 4);
        _tile_loadd(2, c1, ldc * 4);
        _tile_loadd(3, c1 + 16, ldc * 4);
      } else {
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
      }
      for (int l = 0; l < k; l += 32) {
        _tile_loadd(4, a + i * lda + l, lda * 2);
        _tile_loadd(5, a + (i + 16) * lda + l, lda * 2);
        _tile_loadd(6, b + (size_t)l / 2 * ldb + j, ldb * 4);
        _tile_loadd(7, b + (size_t)l / 2 * ldb + j + 16, ldb * 4);
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(1, 4, 7);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
      }
      _tile_stored(0, c0, ldc * 4);
      _tile_stored(1, c0 + 16, ldc * 4);
      _tile_stored(2, c1, ldc * 4);
      _tile_stored(3, c1 + 16, ldc * 4);
    }
}

// 16 floats as bfloat16 in the lower halves of 16 numbers of 32 bits.
static inline __m512i narrow(Vec x) {
  return _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh((__m512)x));
}

static inline void store_row(Bf16* to, Vec x) {
  _mm256_storeu_si256((__m256i*)to, (__m256i)_mm512_cvtneps_pbh((__m512)x));
}

static inline void store_pair(uint32_t* to, Vec even, Vec odd) {
  _mm512_storeu_si512(to, _mm512_or_si512(narrow(even), _mm512_slli_epi32(narrow(odd), 16)));
}

// [rows, width] floats -> rows [padded, wide] of bfloat16, filled up with 0.
static void to_rows(const float* from, int rows, int width, Bf16* to, int padded, int wide) {
  memset(to, 0, (size_t)padded * wide * sizeof(Bf16));
  for (int i = 0; i < rows; ++i)
    for (int j = 0; j < width; j += LANES) {
      int some = width - j < LANES ? width - j : LANES;
      __mmask16 mask = (1u << some) - 1;
      Vec x = (Vec)_mm512_maskz_loadu_ps(mask, from + (size_t)i * width + j);
      store_row(to + (size_t)i * wide + j, x);
    }
}

// Rows [rows, wide] -> pairs [rows / 2, wide].
static void to_pairs(const Bf16* from, int rows, int wide, uint32_t* to) {
  for (int i = 0; i < rows; i += 2)
    for (int j = 0; j < wide; j += 16) {
      const Bf16* at = from + (size_t)i * wide + j;
      __m512i even = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i*)at));
      __m512i odd = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i*)(at + wide)));
      _mm512_storeu_si512(to + (size_t)i / 2 * wide + j,
                          _mm512_or_si512(even, _mm512_slli_epi32(odd, 16)));
    }
}

// [rows, columns] numbers of 32 bits -> [columns, rows]; both are multiples of 16. Over rows of
// bfloat16 this makes the pairs of the transpose.
static void transpose_words(const void* from, int rows, int columns, void* to) {
  for (int i = 0; i < rows; i += 16)
    for (int j = 0; j < columns; j += 16)
      transpose_block((const uint32_t*)from + (size_t)i * columns + j, columns,
                      (uint32_t*)to + (size_t)j * rows + i, rows);
}

// Pairs [rows / 2, wide] of a matrix -> the transpose as rows [wide, rows]: the same move.
static void pairs_to_transpose(const uint32_t* pairs, int rows, int wide, Bf16* to) {
  transpose_words(pairs, rows / 2, wide, to);
}
