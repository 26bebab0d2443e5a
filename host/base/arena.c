#include "host/base/arena.h"

#include "host/base/memory.h"
#include <stdio.h>
#include <string.h>

/* Under AddressSanitizer, what was not handed out is poisoned, so that overruns are found. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_ASAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define ARENA_ASAN 1
#endif
#ifdef ARENA_ASAN
#include <sanitizer/asan_interface.h>
#define POISON(address, bytes) ASAN_POISON_MEMORY_REGION(address, bytes)
#define UNPOISON(address, bytes) ASAN_UNPOISON_MEMORY_REGION(address, bytes)
#else
#define POISON(address, bytes) ((void)0)
#define UNPOISON(address, bytes) ((void)0)
#endif

enum {
    ALIGNMENT = 16,
    FIRST_BLOCK_BYTES = 4096,
    /* Blocks double up to this: past it, a new block every MiB costs nothing next to its pages. */
    LAST_BLOCK_BYTES = 1 << 20,
};

struct clv_arena_block {
    clv_arena_block *next;
    size_t capacity, used;
    _Alignas(ALIGNMENT) unsigned char bytes[];
};

void clv_arena_init(clv_arena *arena, size_t limit_bytes) {
    *arena = (clv_arena){.limit_bytes = limit_bytes};
}

void clv_arena_deinit(clv_arena *arena) {
    clv_arena_block *block = arena->blocks;
    while (block != NULL) {
        clv_arena_block *next = block->next;
        UNPOISON(block->bytes, block->capacity);
        clv_free(block);
        block = next;
    }
    *arena = (clv_arena){.limit_bytes = arena->limit_bytes};
}

static clv_arena_block *create_block(size_t capacity) {
    size_t bytes;
    if (!clv_add_size(capacity, sizeof(clv_arena_block), &bytes)) {
        return NULL;
    }
    clv_arena_block *block = clv_alloc_zeroed(1, bytes);
    if (block != NULL) {
        block->capacity = capacity;
        POISON(block->bytes, capacity);
    }
    return block;
}

/* A block with room for `bytes`. Large requests get one of their own behind the current one, whose
 * rest stays in use. */
static clv_arena_block *find_room(clv_arena *arena, size_t bytes) {
    clv_arena_block *head = arena->blocks;
    if (head != NULL && head->capacity - head->used >= bytes) {
        return head;
    }
    size_t capacity = head == NULL ? FIRST_BLOCK_BYTES : head->capacity * 2;
    if (capacity > LAST_BLOCK_BYTES) {
        capacity = LAST_BLOCK_BYTES;
    }
    if (bytes > capacity / 4) {
        clv_arena_block *own = create_block(bytes);
        if (own == NULL) {
            return NULL;
        }
        if (head == NULL) {
            arena->blocks = own;
        } else {
            own->next = head->next;
            head->next = own;
        }
        return own;
    }
    clv_arena_block *block = create_block(capacity);
    if (block != NULL) {
        block->next = head;
        arena->blocks = block;
    }
    return block;
}

void *clv_arena_alloc(clv_arena *arena, size_t count, size_t element_bytes) {
    size_t bytes, rounded, used;
    if (!clv_mul_size(count, element_bytes, &bytes)) {
        return NULL;
    }
    if (!clv_add_size(bytes != 0 ? bytes : 1, ALIGNMENT - 1, &rounded)) {
        return NULL;
    }
    rounded = rounded / ALIGNMENT * ALIGNMENT;
    if (!clv_add_size(arena->used_bytes, rounded, &used)) {
        return NULL;
    }
    if (arena->limit_bytes != 0 && used > arena->limit_bytes) {
        return NULL;
    }
    clv_arena_block *block = find_room(arena, rounded);
    if (block == NULL) {
        return NULL;
    }
    void *result = block->bytes + block->used;
    block->used += rounded;
    arena->used_bytes = used;
    UNPOISON(result, bytes);
    return result;
}

void *clv_arena_copy(clv_arena *arena, const void *data, size_t bytes) {
    void *copy = clv_arena_alloc(arena, bytes, 1);
    if (copy != NULL && bytes != 0) {
        memcpy(copy, data, bytes);
    }
    return copy;
}

char *clv_arena_strdup(clv_arena *arena, const char *text) {
    return clv_arena_copy(arena, text, strlen(text) + 1);
}

char *clv_arena_strndup(clv_arena *arena, const char *text, size_t length) {
    size_t bytes;
    if (!clv_add_size(length, 1, &bytes)) {
        return NULL;
    }
    char *copy = clv_arena_alloc(arena, bytes, 1);
    if (copy != NULL && length != 0) {
        memcpy(copy, text, length);
    }
    return copy;
}

char *clv_arena_printf(clv_arena *arena, const char *format, ...) {
    va_list args;
    va_start(args, format);
    int length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (length < 0) {
        return NULL;
    }
    char *text = clv_arena_alloc(arena, (size_t)length + 1, 1);
    if (text != NULL) {
        va_start(args, format);
        vsnprintf(text, (size_t)length + 1, format, args);
        va_end(args);
    }
    return text;
}
