/* Random cases: each is drawn as the text of a conformance case, then its kernels run on the first
 * OpenCL device, with the items of a CPU or of a GPU, against the reference; and its splits
 * are cut and joined.
 *
 *     TEST [SEED [NUM_CASES]]      a failure prints the case and its seed
 */
#ifndef CLV_TESTS_PROPERTY_DRAW_H
#define CLV_TESTS_PROPERTY_DRAW_H

#include "host/base/random.h"
#include "tests/conformance/case.h"

/* A case in the making. */
typedef struct draw {
    clv_random random;
    char inputs[512], attrs[256];
    clv_case out;
    int rank; /* of what was drawn last */
    int64_t dims[CLV_MAX_RANK];
} draw;

typedef struct draw_kind {
    const char *op;
    void (*fill)(draw *d); /* inputs, attributes, and what else out needs */
} draw_kind;

int64_t between(draw *d, int64_t low, int64_t high);

/* printf at the end of `buffer`. */
void add(char *buffer, size_t capacity, const char *format, ...) CLV_PRINTF(3, 4);
#define INPUT(d, ...) add((d)->inputs, sizeof(d)->inputs, __VA_ARGS__)
#define ATTR(d, ...) add((d)->attrs, sizeof(d)->attrs, __VA_ARGS__)

/* "1,2,3" */
void add_list(char *buffer, size_t capacity, const int64_t *values, int count);
/* " i64[3]{1,2,3}" as the next input. */
void add_ints(draw *d, const int64_t *values, int count);
/* 0 .. count-1 in random order. */
void shuffle(draw *d, int64_t *values, int count);
/* A shape of at most some ten thousand elements into d->rank and d->dims, now and then with a long
 * last axis or an empty one. */
void draw_shape(draw *d, int min_rank, int max_rank);

/* The program: draws kinds by turns; the exit code. */
int draw_main(int argc, char **argv, const draw_kind *kinds, size_t num_kinds);

#endif
