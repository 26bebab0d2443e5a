/* Which of a long set of cases are tried: all, or about one in N with CLEAVE_TEST_FEWER=N in the
 * environment, other ones for every CLEAVE_TEST_SEED. */
#ifndef CLV_TESTS_SUPPORT_SAMPLE_H
#define CLV_TESTS_SUPPORT_SAMPLE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

static inline uint64_t clv_test_number(const char *variable, uint64_t otherwise) {
    const char *word = getenv(variable);
    return word != NULL ? strtoull(word, NULL, 10) : otherwise;
}

/* The first case always; the others scattered, so that no sort of cases is left out. */
static inline bool clv_test_is_tried(uint64_t index) {
    uint64_t fewer = clv_test_number("CLEAVE_TEST_FEWER", 1);
    uint64_t x = index + clv_test_number("CLEAVE_TEST_SEED", 0) * 1000003;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9U; /* splitmix64 */
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebU;
    return fewer < 2 || index == 0 || (x ^ (x >> 31)) % fewer == 0;
}

#endif
