/* Seeded random numbers (xoshiro256**, seeded by splitmix64): the same everywhere. */
#ifndef CLV_BASE_RANDOM_H
#define CLV_BASE_RANDOM_H

#include <stdint.h>

typedef struct clv_random {
    uint64_t state[4];
    double spare; /* second half of a normal pair */
    int has_spare;
} clv_random;

void clv_random_init(clv_random *random, uint64_t seed);
uint64_t clv_random_next(clv_random *random);
/* 0 .. bound-1, without bias; bound > 0. */
uint64_t clv_random_below(clv_random *random, uint64_t bound);
/* [0, 1). */
double clv_random_unit(clv_random *random);
/* Standard normal (Marsaglia's polar method). */
double clv_random_normal(clv_random *random);

#endif
