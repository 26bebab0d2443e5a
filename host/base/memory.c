#include "host/base/memory.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static _Atomic int64_t fail_countdown = -1; /* negative: no allocation is made to fail */
static _Atomic int64_t num_allocations;
static _Thread_local uint64_t num_failures;

/* Counts an allocation; true where a test wants it to fail. */
static bool must_fail(void) {
    atomic_fetch_add_explicit(&num_allocations, 1, memory_order_relaxed);
    if (atomic_load_explicit(&fail_countdown, memory_order_relaxed) < 0) {
        return false;
    }
    if (atomic_fetch_sub_explicit(&fail_countdown, 1, memory_order_relaxed) != 0) {
        return false;
    }
    errno = ENOMEM;
    return true;
}

static void *note_failure(void *block) {
    num_failures += block == NULL;
    return block;
}

void *clv_alloc(size_t bytes) {
    return note_failure(must_fail() ? NULL : malloc(bytes != 0 ? bytes : 1));
}

void *clv_alloc_zeroed(size_t count, size_t element_bytes) {
    size_t bytes;
    bool is_fine = clv_mul_size(count, element_bytes, &bytes) && !must_fail();
    return note_failure(is_fine ? calloc(bytes != 0 ? bytes : 1, 1) : NULL);
}

void *clv_alloc_aligned(size_t alignment, size_t bytes) {
    if ((alignment & (alignment - 1)) != 0 || must_fail()) {
        return note_failure(NULL);
    }
    if (alignment < sizeof(void *)) {
        alignment = sizeof(void *);
    }
    void *block = NULL;
    int error = posix_memalign(&block, alignment, bytes != 0 ? bytes : 1);
    if (error != 0) {
        errno = error;
        return note_failure(NULL);
    }
    return block;
}

void *clv_realloc(void *block, size_t bytes) {
    return note_failure(must_fail() ? NULL : realloc(block, bytes != 0 ? bytes : 1));
}

void clv_free(void *block) {
    free(block);
}

char *clv_strdup(const char *text) {
    if (text == NULL) {
        return NULL;
    }
    size_t bytes = strlen(text) + 1;
    char *copy = clv_alloc(bytes);
    return copy != NULL ? memcpy(copy, text, bytes) : NULL;
}

void clv_memory_fail_at(int64_t n) {
    atomic_store_explicit(&fail_countdown, n, memory_order_relaxed);
}

uint64_t clv_memory_failures(void) {
    return num_failures;
}

void clv_memory_note_failure(void) {
    num_failures++;
}

int64_t clv_memory_count(void) {
    return atomic_load_explicit(&num_allocations, memory_order_relaxed);
}

bool clv_mul_size(size_t a, size_t b, size_t *out_product) {
    return !__builtin_mul_overflow(a, b, out_product);
}

bool clv_add_size(size_t a, size_t b, size_t *out_sum) {
    return !__builtin_add_overflow(a, b, out_sum);
}

bool clv_array_reserve(void **data, size_t *capacity, size_t needed, size_t element_bytes) {
    if (needed <= *capacity) {
        return true;
    }
    size_t grown = *capacity > SIZE_MAX / 2 ? SIZE_MAX : *capacity * 2;
    if (grown < 8) {
        grown = 8;
    }
    if (grown < needed) {
        grown = needed;
    }
    size_t bytes;
    if (!clv_mul_size(grown, element_bytes, &bytes)) {
        return false;
    }
    void *moved = clv_realloc(*data, bytes);
    if (moved == NULL) {
        return false;
    }
    *data = moved;
    *capacity = grown;
    return true;
}

uint64_t clv_memory_installed(void) {
    const long pages = sysconf(_SC_PHYS_PAGES), page_bytes = sysconf(_SC_PAGESIZE);
    return pages > 0 && page_bytes > 0 ? (uint64_t)pages * (uint64_t)page_bytes : 0;
}
