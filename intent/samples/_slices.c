/* What reading does most often, in one pass over the memory and without Python's lock. Each function
   has a NumPy form in the module that calls it through ctypes, and a test that holds them equal. */

#include <stdint.h>
#include <string.h>

/* intent/samples/windows.py: `count` actions of `stride` bytes from action `start` on, and zeros up to
   `length`, for each of the windows. */
void slice_windows(const uint8_t *ids, int64_t stride, const int64_t *start, const int32_t *count,
                   int64_t groups, int64_t length, uint8_t *out)
{
    for (int64_t b = 0; b < groups; b++, out += length * stride) {
        int64_t size = count[b] * stride;
        memcpy(out, ids + start[b] * stride, size);
        memset(out + size, 0, length * stride - size);
    }
}

/* intent/samples/windows.py: the ids of the ages of the last `recent` actions of each window, at their place in `out`: the
   `column`-th of `width` features of `item` bytes (1 or 2) each. `ages` is the table of ids by
   steps of `fine` ms, of which there are `steps`. */
void fill_ages(const int64_t *times, const int64_t *at, const int64_t *start, const int32_t *count,
               const int32_t *recent, int64_t groups, int64_t length, int64_t width,
               int64_t column, int64_t item, const uint8_t *ages, int64_t steps, int64_t fine,
               uint8_t *out)
{
    for (int64_t b = 0; b < groups; b++) {
        for (int64_t i = count[b] - recent[b]; i < count[b]; i++) {
            uint8_t *place = out + (((b * length) + i) * width + column) * item;
            uint32_t step = (uint32_t)(at[b] - times[start[b] + i]) / (uint32_t)fine;
            uint8_t id = ages[step < steps ? step : steps - 1];
            if (item == 2) {
                uint16_t wide = id;
                memcpy(place, &wide, 2);
            } else {
                *place = id;
            }
        }
    }
}

/* intent/samples/compact.py: rows of the swipe view's 14 features, in the order of Table 3a, from the
   columns of all actions, of taps and of swipes. `length_x` and `length_y` are tables of ids by
   [deviation][difference of the ends]; a length above `wide` (`high`) is one to the left (up). */
void unfold_swipes(int64_t actions, const uint8_t *page, const uint8_t *action,
                   const uint8_t *time_gap, const uint8_t *gap, int64_t tap, const uint8_t *tap_x,
                   const uint8_t *tap_y, int64_t swipe, const uint8_t *start_x,
                   const uint8_t *start_y, const uint8_t *move_x, const uint8_t *end_y,
                   const uint8_t *duration, const uint8_t *rest, const uint8_t *length_x,
                   const uint8_t *length_y, int64_t wide, int64_t high, uint8_t *out)
{
    for (int64_t a = 0, t = 0, s = 0; a < actions; a++, out += 14) {
        memset(out, 0, 14);
        out[0] = page[a];
        out[1] = action[a];
        out[2] = time_gap[a] + gap[a];
        if (action[a] == tap) {
            out[3] = tap_x[t];
            out[4] = tap_y[t++];
        } else if (action[a] == swipe) {
            uint8_t x = length_x[256 * (rest[s] & 3) + move_x[s]];
            uint8_t y = length_y[256 * (rest[s] >> 2 & 3) + (uint8_t)(end_y[s] - start_y[s])];
            out[5] = start_x[s];
            out[6] = start_y[s];
            out[7] = start_x[s] + move_x[s];
            out[8] = end_y[s];
            out[9] = x;
            out[10] = y;
            out[11] = rest[s] & 16 ? 0 : 1 + (x > wide);
            out[12] = rest[s] & 32 ? 0 : 2 - (y > high);
            out[13] = duration[s++];
        }
    }
}
