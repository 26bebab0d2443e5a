/* The one way to host memory, so that tests can make the n-th allocation fail. */
#ifndef CLV_BASE_MEMORY_H
#define CLV_BASE_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void *clv_alloc(size_t bytes); /* NULL when there is none */
void *clv_alloc_zeroed(
    size_t count, size_t element_bytes); /* NULL also when the product overflows */
/* NULL also when `alignment` is no power of two; free with clv_free. */
void *clv_alloc_aligned(size_t alignment, size_t bytes);
void *clv_realloc(void *block, size_t bytes); /* on failure `block` stays as it was */
void clv_free(void *block);
char *clv_strdup(const char *text); /* NULL when there is no memory or `text` is NULL */

/* Allocations of this thread that failed so far. What tries several ways and takes the best that
 * works compares two counts: a way that only ran out of memory must not pass for one that does not
 * work. */
uint64_t clv_memory_failures(void);
/* Counts as one: something else of the host's was not to be had, such as a thread. */
void clv_memory_note_failure(void);

/* Bytes of memory that the machine has; 0: unknown. */
uint64_t clv_memory_installed(void);
/* Gives back pages of programs and libraries, of mappings of so many bytes at least: most of those
 * of a large library were only read while it was loaded. Who needs one again finds it in the page
 * cache. Returns the bytes of these mappings; 0 also where the system does not tell. */
size_t clv_memory_drop_code(size_t least_bytes);
/* Makes the n-th allocation from now fail (0: the next one), once; a negative n: none. For tests.
 */
void clv_memory_fail_at(int64_t n);
/* Allocations so far in this process. For tests. */
int64_t clv_memory_count(void);

/* False where the result does not fit. */
bool clv_mul_size(size_t a, size_t b, size_t *out_product);
bool clv_add_size(size_t a, size_t b, size_t *out_sum);

/* Makes room for `needed` elements in *data (doubling); false when there is no memory: nothing
 * changed. */
bool clv_array_reserve(void **data, size_t *capacity, size_t needed, size_t element_bytes);

#endif
