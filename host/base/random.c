#include "host/base/random.h"

#include <math.h>

/* Source: Blackman and Vigna, "Scrambled linear pseudorandom number generators" (2021). */

static uint64_t splitmix64(uint64_t *state) {
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static uint64_t rotate_left(uint64_t x, int count) {
    return (x << count) | (x >> (64 - count));
}

void clv_random_init(clv_random *random, uint64_t seed) {
    *random = (clv_random){.has_spare = 0};
    for (int i = 0; i < 4; i++) {
        random->state[i] = splitmix64(&seed);
    }
}

uint64_t clv_random_next(clv_random *random) {
    uint64_t *s = random->state;
    uint64_t result = rotate_left(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate_left(s[3], 45);
    return result;
}

uint64_t clv_random_below(clv_random *random, uint64_t bound) {
    /* 2^64 modulo bound: values below it would make small results likelier. */
    uint64_t reject = (0 - bound) % bound;
    uint64_t value = clv_random_next(random);
    while (value < reject) {
        value = clv_random_next(random);
    }
    return value % bound;
}

double clv_random_unit(clv_random *random) {
    return (double)(clv_random_next(random) >> 11) * 0x1.0p-53;
}

double clv_random_normal(clv_random *random) {
    if (random->has_spare) {
        random->has_spare = 0;
        return random->spare;
    }
    double u, v, square;
    do {
        u = 2 * clv_random_unit(random) - 1;
        v = 2 * clv_random_unit(random) - 1;
        square = u * u + v * v;
    } while (square >= 1 || square == 0);
    double scale = sqrt(-2 * log(square) / square);
    random->spare = v * scale;
    random->has_spare = 1;
    return u * scale;
}
