// Vectors of floats, as wide as the instruction set that this file is compiled for.
//
// GCC's and Clang's vector types: the same text becomes AVX-512, AVX2, SSE or NEON.
#pragma once

#if defined(__AVX512F__)
#define LANES 16
#elif defined(__AVX2__)
#define LANES 8
#else
#define LANES 4
#endif

typedef float Vec __attribute__((vector_size(LANES * 4)));
typedef int32_t IntVec __attribute__((vector_size(LANES * 4)));
typedef float Anywhere __attribute__((vector_size(LANES * 4), aligned(4), may_alias));

static inline Vec load(const float* p) { return *reinterpret_cast<const Anywhere*>(p); }
static inline void store(float* p, Vec x) { *reinterpret_cast<Anywhere*>(p) = x; }
static inline Vec splat(float x) { return x - Vec{}; }
static inline Vec smaller(Vec a, Vec b) { return a < b ? a : b; }
static inline Vec larger(Vec a, Vec b) { return a > b ? a : b; }

static inline float total(Vec x) {
  float sum = 0;
  for (int i = 0; i < LANES; ++i) sum += x[i];
  return sum;
}

static inline float greatest(Vec x) {
  float most = x[0];
  for (int i = 1; i < LANES; ++i) most = x[i] > most ? x[i] : most;
  return most;
}

// e^x to 2 units in the last place: 2^n e^r with |r| <= ln(2) / 2, and the polynomial of Cephes.
// Below -87.3 it is 1e-38, above 88.3 it is 2e38; NaN stays NaN.
static inline Vec exponential(Vec x) {
  x = x < splat(-87.3f) ? splat(-87.3f) : x;
  x = x > splat(88.3f) ? splat(88.3f) : x;
  const Vec round = splat(12582912.f);  // 1.5 * 2^23: adding it rounds to an integer
  Vec shifted = x * 1.44269504f + round;
  Vec n = shifted - round;
  Vec r = x - n * 0.693359375f + n * 2.12194440e-4f;
  Vec p = r * 1.9875691500e-4f + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * (r * r) + r + 1.f;
  IntVec power = ((IntVec)shifted << 23) + 0x3f800000;
  return p * (Vec)power;
}

static inline Vec sigmoid(Vec x) { return 1.f / (1.f + exponential(-x)); }
static inline Vec hyperbolic_tangent(Vec x) { return 2.f * sigmoid(2.f * x) - 1.f; }

static inline int padded(int n) { return (n + LANES - 1) / LANES * LANES; }
static inline void clear(float* p, size_t n) { memset(p, 0, n * sizeof(float)); }

// Rows of `width` floats into rows of `wide` floats, filled up with 0.
static inline void widen(const float* from, size_t step, int rows, int width, float* to, int wide) {
  for (int i = 0; i < rows; ++i, from += step, to += wide) {
    memcpy(to, from, width * sizeof(float));
    for (int j = width; j < wide; ++j) to[j] = 0;
  }
}

#ifdef __AVX512F__
// 16 rows of 16 numbers of 32 bits, across.
static inline void transpose_block(const uint32_t* from, size_t step, uint32_t* to, size_t wide) {
  __m512i r[16], s[16];
  for (int i = 0; i < 16; ++i) r[i] = _mm512_loadu_si512(from + i * step);
  for (int i = 0; i < 16; i += 2) {
    s[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
    s[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
  }
  for (int i = 0; i < 16; i += 4) {
    r[i] = _mm512_unpacklo_epi64(s[i], s[i + 2]);
    r[i + 1] = _mm512_unpackhi_epi64(s[i], s[i + 2]);
    r[i + 2] = _mm512_unpacklo_epi64(s[i + 1], s[i + 3]);
    r[i + 3] = _mm512_unpackhi_epi64(s[i + 1], s[i + 3]);
  }
  for (int i = 0; i < 4; ++i)
    for (int half = 0; half < 2; ++half) {
      s[half * 8 + i] = _mm512_shuffle_i32x4(r[half * 8 + i], r[half * 8 + 4 + i], 0x88);
      s[half * 8 + 4 + i] = _mm512_shuffle_i32x4(r[half * 8 + i], r[half * 8 + 4 + i], 0xdd);
    }
  for (int i = 0; i < 8; ++i) {
    __m512i low = _mm512_shuffle_i32x4(s[i], s[8 + i], 0x88);
    __m512i high = _mm512_shuffle_i32x4(s[i], s[8 + i], 0xdd);
    _mm512_storeu_si512(to + (i % 4 + (i / 4) * 4) * wide, low);
    _mm512_storeu_si512(to + (i % 4 + (i / 4) * 4 + 8) * wide, high);
  }
}
#endif

// The transpose of [rows, width] into [width, wide], filled up with 0 (wide >= rows).
static inline void transpose(const float* from, size_t step, int rows, int width, float* to,
                             int wide) {
  int whole = 0, across = 0;
#ifdef __AVX512F__
  whole = rows / 16 * 16, across = width / 16 * 16;
  for (int i = 0; i < whole; i += 16)
    for (int j = 0; j < across; j += 16)
      transpose_block((const uint32_t*)from + i * step + j, step, (uint32_t*)to + (size_t)j * wide + i,
                      wide);
#endif
  for (int j = 0; j < width; ++j) {
    float* row = to + (size_t)j * wide;
    for (int i = j < across ? whole : 0; i < rows; ++i) row[i] = from[i * step + j];
    for (int i = rows; i < wide; ++i) row[i] = 0;
  }
}
